//! What hostile and careless clients do. Each claim is named after its class; the server's memory
//! and health are looked at afterwards.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::ensure;

use super::Stage;
use crate::report::Report;
use crate::serving::load::{Client, request};
use crate::serving::server::Server;
use crate::serving::texts;

/// What the server may have grown by, after each of these.
const GROWTH: u64 = 120 << 20;

pub(super) fn run(stage: &Stage<'_>, report: &mut Report) {
    let mut claim = |claim: &str, abuse: &dyn Fn(&Server) -> anyhow::Result<()>| {
        report.claim("abuse", claim, || {
            let server = stage.serve(stage.tiny(), &[])?;
            let before = server.resident()?;
            abuse(&server)?;
            let answer = Client::connect(server.address)?.ask(&request(
                "POST",
                "/predict",
                &texts::body("good"),
            ))?;
            ensure!(answer.status == 200, "afterwards a good request gets {}", answer.status);
            let peak = server.peak()?;
            ensure!(peak < before + GROWTH, "memory grew from {before} to {peak} bytes");
            Ok(())
        });
    };
    claim("a body of 5 MB is refused with 413", &|server| {
        let body = texts::body(&"a ".repeat(2_500_000));
        // The refusal may come while the body is still on its way.
        let answer = Client::connect(server.address)?.ask(&request("POST", "/predict", &body));
        ensure!(answer.is_err() || answer.is_ok_and(|answer| answer.status == 413), "it was taken");
        Ok(())
    });
    claim("a body of 1 MB of words is cut, and said to be", &|server| {
        let answer = Client::connect(server.address)?.ask(&request(
            "POST",
            "/predict",
            &texts::body(&"good ".repeat(200_000)),
        ))?;
        ensure!(
            answer.status == 200 && answer.header("x-truncated") == "true",
            "{}",
            answer.status
        );
        Ok(())
    });
    claim("a million opening brackets are a 422 or 413", &|server| {
        let answer = Client::connect(server.address)?.ask(&request(
            "POST",
            "/predict",
            &"[".repeat(1_000_000),
        ))?;
        ensure!(answer.status == 422, "{}", answer.status);
        Ok(())
    });
    claim(
        "slowloris: 300 heads that never end are cut off, and others are answered meanwhile",
        &|server| {
            let slow: Vec<TcpStream> = (0..300)
                .map(|_| {
                    let mut stream = TcpStream::connect(server.address)?;
                    stream.write_all(b"POST /predict HTTP/1.1\r\nhost: x\r\nx: ")?;
                    std::io::Result::Ok(stream)
                })
                .collect::<Result<_, _>>()?;
            let asked = Instant::now();
            let answer = Client::connect(server.address)?.ask(&request(
                "POST",
                "/predict",
                &texts::body("good"),
            ))?;
            ensure!(
                answer.status == 200 && asked.elapsed() < Duration::from_secs(2),
                "{:?}",
                asked.elapsed()
            );
            for mut stream in slow {
                stream.set_read_timeout(Some(Duration::from_secs(40)))?;
                ensure!(stream.read_to_end(&mut Vec::new()).is_ok(), "it was not cut off");
            }
            Ok(())
        },
    );
    claim("1,000 half-sent bodies of 1 MB hold no more than the budget", &|server| {
        let half = |_| {
            let mut stream = TcpStream::connect(server.address)?;
            stream.set_write_timeout(Some(Duration::from_millis(500)))?;
            let head = "POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 1000000\r\n\r\n";
            stream.write_all(head.as_bytes())?;
            // One that was refused is closed, and takes no more.
            let _ = stream.write_all(&vec![b' '; 900_000]);
            std::io::Result::Ok(stream)
        };
        let held: Vec<TcpStream> = (0..1000).map(half).collect::<Result<_, _>>()?;
        let answer = Client::connect(server.address)?.ask(&request("GET", "/readyz", ""))?;
        ensure!(answer.status == 200, "/readyz says {}", answer.status);
        drop(held);
        Ok(())
    });
    claim("clients that hang up are not computed for", &|server| {
        for n in 0..200 {
            let mut stream = TcpStream::connect(server.address)?;
            stream.write_all(&request("POST", "/predict", &texts::body(&texts::of(60, n))))?;
        }
        let asked = Instant::now();
        Client::connect(server.address)?.ask(&request("POST", "/predict", &texts::body("good")))?;
        ensure!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
        Ok(())
    });
    claim("request smuggling: two lengths, or a length and chunks, are refused", &|server| {
        for head in [
            "content-length: 5\r\ncontent-length: 6",
            "content-length: 5\r\ntransfer-encoding: xchunked",
        ] {
            let question = format!("POST /predict HTTP/1.1\r\nhost: x\r\n{head}\r\n\r\n{{}}   ");
            let answer = Client::connect(server.address)?.ask(question.as_bytes());
            ensure!(
                answer.is_err() || answer.is_ok_and(|answer| answer.status == 400),
                "{head} was taken"
            );
        }
        Ok(())
    });
    claim("a head of 1 MB is refused", &|server| {
        let question = format!("GET / HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "a".repeat(1 << 20));
        let answer = Client::connect(server.address)?.ask(question.as_bytes());
        ensure!(answer.is_err() || answer.is_ok_and(|answer| answer.status == 431), "it was taken");
        Ok(())
    });
}
