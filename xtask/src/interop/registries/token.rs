//! A token service as the distribution project describes it: a password or an identity token in, a
//! signed token out. OpenSSL signs; the registry trusts the certificate that travels in the token's
//! head.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use fs_err as fs;
use serde_json::{Value, json};

use crate::peers::run_quietly;
use crate::registries::Shop;

/// A service on a thread of its own; it ends with the process.
pub(super) struct TokenService {
    pub(super) url: String,
    n_tokens: Arc<AtomicUsize>,
}

impl TokenService {
    /// Starts it with a key of its own: `token.pem` in the shop is its certificate.
    pub(super) fn start(shop: &Shop) -> anyhow::Result<Self> {
        let line = "req -x509 -newkey rsa:2048 -nodes -keyout token.key -days 30 -subj /CN=token -out token.pem";
        shop.run(Path::new("openssl"), line)?;
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let url = format!("http://{}/token", listener.local_addr()?);
        let n_tokens = Arc::new(AtomicUsize::new(0));
        let (dir, counter) = (shop.dir.clone(), n_tokens.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that goes away gets no token.
                let _ = answer(stream, &dir, &counter);
            }
        });
        Ok(Self { url, n_tokens })
    }

    pub(super) fn n_tokens(&self) -> usize {
        self.n_tokens.load(Ordering::Relaxed)
    }
}

fn answer(stream: TcpStream, dir: &Path, n_tokens: &AtomicUsize) -> anyhow::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut first, mut authorization, mut length) = (String::new(), String::new(), 0);
    reader.read_line(&mut first)?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "authorization" => authorization = value.to_owned(),
            "content-length" => length = value.parse()?,
            _ => {}
        }
    }
    let mut form = vec![0; length];
    reader.read_exact(&mut form)?;
    let query = first
        .split_whitespace()
        .nth(1)
        .and_then(|path| path.split_once('?'))
        .map_or("", |(_, query)| query);
    let fields = fields(&format!("{query}&{}", String::from_utf8_lossy(&form)));
    let is_user = authorization == format!("Basic {}", base64(b"user:secret", false));
    let is_identity =
        fields.iter().any(|(name, value)| name == "refresh_token" && value == "identity");
    let (status, body) = match is_user || is_identity {
        true => {
            n_tokens.fetch_add(1, Ordering::Relaxed);
            ("200 OK", json!({ "token": token(&fields, dir)?, "expires_in": 300 }).to_string())
        }
        false => ("401 Unauthorized", "{}".to_owned()),
    };
    let mut stream = stream;
    write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )?;
    Ok(stream.flush()?)
}

/// The fields of a query or a form.
fn fields(text: &str) -> Vec<(String, String)> {
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), decoded(value))).collect()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let hex = |byte: Option<u8>| {
            byte.and_then(|byte| char::from(byte).to_digit(16)).unwrap_or(0) as u8
        };
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => bytes.push(hex(rest.next()) * 16 + hex(rest.next())),
            _ => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A JSON Web Token with the rights that were asked for.
fn token(fields: &[(String, String)], dir: &Path) -> anyhow::Result<String> {
    let scopes = fields
        .iter()
        .filter(|(name, _)| name == "scope")
        .flat_map(|(_, scopes)| scopes.split_whitespace());
    let access: Vec<Value> = scopes.filter_map(right).collect();
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let certificate = fs::read_to_string(dir.join("token.pem"))?;
    let der: String = certificate.lines().filter(|line| !line.starts_with("-----")).collect();
    let head = json!({ "typ": "JWT", "alg": "RS256", "x5c": [der] });
    let claims = json!({
        "iss": "xtask", "sub": "user", "aud": "registry", "jti": now.to_string(),
        "iat": now, "nbf": now - 10, "exp": now + 300, "access": access,
    });
    let text = format!(
        "{}.{}",
        base64(head.to_string().as_bytes(), true),
        base64(claims.to_string().as_bytes(), true)
    );
    fs::write(dir.join("token.txt"), &text)?;
    let mut sign = std::process::Command::new("openssl");
    sign.args(["dgst", "-sha256", "-sign", "token.key", "-out", "token.sig", "token.txt"])
        .current_dir(dir);
    run_quietly(&mut sign).context("openssl signs")?;
    Ok(format!("{text}.{}", base64(&fs::read(dir.join("token.sig"))?, true)))
}

/// `repository:demo/kit:pull,push` as a claim.
fn right(scope: &str) -> Option<Value> {
    let (kind, rest) = scope.split_once(':')?;
    let (name, actions) = rest.rsplit_once(':')?;
    Some(json!({ "type": kind, "name": name, "actions": actions.split(',').collect::<Vec<_>>() }))
}

/// Base64 (RFC 4648), padded, or for URLs without padding.
fn base64(bytes: &[u8], for_urls: bool) -> String {
    let alphabet = match for_urls {
        true => b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
        false => b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
    };
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let n =
            chunk.iter().fold(0u32, |n, byte| n << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            match i <= chunk.len() {
                true => text.push(char::from(alphabet[(n >> (18 - 6 * i)) as usize & 63])),
                false if for_urls => {}
                false => text.push('='),
            }
        }
    }
    text
}
