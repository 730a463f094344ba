//! What is asked on a terminal.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::process::{Command, ExitStatus};
use std::sync::mpsc;
use std::time::Duration;

use fs_err as fs;
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};

use crate::peer;
use crate::world::World;

/// A program on a terminal of its own.
struct Terminal {
    typing: File,
    hears: mpsc::Receiver<String>,
    /// All that was shown.
    screen: String,
    process: std::process::Child,
}

impl Terminal {
    fn start(mut command: Command) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags).expect("there are terminals");
        grantpt(&master).and_then(|()| unlockpt(&master)).expect("it is ours");
        let name = ptsname(master.as_fd(), Vec::new()).expect("it has a name");
        let name = name.into_string().expect("it is ASCII");
        let slave = File::options().read(true).write(true).open(name).expect("it is unlocked");
        let again = || slave.try_clone().expect("it is open");
        let process = command.stdin(again()).stdout(again()).stderr(again()).spawn();
        let process = process.expect("the program can be started");
        let typing = File::from(master);
        let mut screen = typing.try_clone().expect("it is open");
        let (says, hears) = mpsc::channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 1024];
            // A terminal that nobody holds any more reads as an error.
            while let Ok(n @ 1..) = screen.read(&mut bytes) {
                let _ = says.send(String::from_utf8_lossy(&bytes[..n]).into_owned());
            }
        });
        drop((command, slave));
        Self { typing, hears, screen: String::new(), process }
    }

    /// Waits until something is shown.
    fn until(&mut self, text: &str) {
        while !self.screen.contains(text) {
            match self.hears.recv_timeout(Duration::from_secs(60)) {
                Ok(more) => self.screen += &more,
                Err(_) => panic!("it does not show {text:?}: {:?}", self.screen),
            }
        }
    }

    fn type_in(&mut self, text: &str) {
        self.typing.write_all(text.as_bytes()).expect("somebody reads");
    }

    /// Waits for its end, and returns what was shown.
    fn end(mut self) -> (ExitStatus, String) {
        while let Ok(more) = self.hears.recv_timeout(Duration::from_secs(60)) {
            self.screen += &more;
        }
        (self.process.wait().expect("it is ours"), self.screen)
    }
}

/// A registry that lets in ada with her password; the header is Base64 of `ada:s3cret`.
fn registry() -> String {
    peer::start(|head| {
        match head.to_lowercase().contains("authorization: basic ywrhonmzy3jlda==") {
            true => ("200 OK", String::new(), "{}".into()),
            false => ("401 no", "www-authenticate: Basic realm=\"r\"\r\n".into(), String::new()),
        }
    })
}

fn login(world: &World, further: &[&str]) -> Terminal {
    let mut command = world.kit_rs();
    command.args(["login", &registry()]).args(further);
    Terminal::start(command)
}

#[test]
fn login_asks_for_the_user_name_and_then_for_the_password() {
    let world = World::new();
    let mut terminal = login(&world, &[]);
    terminal.until("Username: ");
    terminal.type_in("ada\n");
    terminal.until("Password: ");
    terminal.type_in("s3cret\n");
    let (status, screen) = terminal.end();
    assert!(status.success(), "{screen}");
    assert!(!screen.contains("s3cret"), "the password is shown: {screen}");
    let kept = fs::read_to_string(world.work().join("../home/kit-rs/credentials.json"));
    assert!(kept.expect("it was kept").contains("YWRhOnMzY3JldA=="));
}

#[test]
fn login_asks_only_for_what_is_missing() {
    let world = World::new();
    let mut terminal = login(&world, &["-u", "ada"]);
    terminal.until("Password: ");
    terminal.type_in("wrong\n");
    let (status, screen) = terminal.end();
    assert_eq!(status.code(), Some(1), "{screen}");
    assert!(!screen.contains("Username"), "{screen}");
    assert!(screen.contains("check the user name and the password"), "{screen}");
}

#[test]
fn login_takes_no_empty_user_name() {
    let world = World::new();
    let mut terminal = login(&world, &[]);
    terminal.until("Username: ");
    terminal.type_in("\n");
    let (status, screen) = terminal.end();
    assert_eq!(status.code(), Some(2), "{screen}");
}

#[test]
fn ctrl_c_ends_both_questions() {
    let world = World::new();
    for (further, question) in [(&[][..], "Username: "), (&["-u", "ada"][..], "Password: ")] {
        let mut terminal = login(&world, further);
        terminal.until(question);
        // This terminal controls no process, so what its Ctrl-C means is sent by hand.
        let process = Pid::from_child(&terminal.process);
        kill_process(process, Signal::INT).expect("it runs");
        let typing = terminal.typing.try_clone().expect("it is open");
        let (status, screen) = terminal.end();
        assert_eq!(status.code(), Some(130), "{question} {screen}");
        let modes = tcgetattr(typing).expect("it is a terminal").local_modes;
        assert!(modes.contains(LocalModes::ECHO), "what is typed next cannot be seen");
    }
}
