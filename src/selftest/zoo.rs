//! The animals: tools as badly behaved as tools get. Each is this very program, started again as
//! `crew selftest --as ANIMAL DEN`, so that no other program has to be there.
//!
//! Every process that an animal consists of writes its pid into the animal's den, a folder, once
//! it is what it is meant to be. None of them outlives [`LIFETIME`], should all else fail.

mod mcp;

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use nix::sys::signal::{SigHandler, Signal, kill, raise, signal};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, close, fork, getpid, getppid, setsid};

use super::strays;

/// Far longer than a self-test may take.
const LIFETIME: Duration = Duration::from_secs(60);
/// How often an animal that waits for something looks.
const POLL: Duration = Duration::from_millis(5);
/// Processes of a [`Animal::Bomb`] over its whole life, and those it begins with.
const BOMB_BIRTHS: u64 = 200;
const BOMB_START: usize = 16;
/// Open files above this are not ours to care for.
const MOST_FILES: i32 = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Animal {
    /// Waits, and ends when asked to.
    Sleeper,
    /// Ignores SIGTERM, SIGINT and SIGHUP.
    Deaf,
    /// With a child and a grandchild.
    Family,
    /// With a child in a session of its own.
    NewSession,
    /// With a daemon: forked twice, a session of its own, no environment, no open file.
    Daemon,
    /// The same, and both ignore signals.
    DeafDaemon,
    /// Has stopped itself.
    Stopped,
    /// Ends at once and leaves a daemon behind.
    Leaver,
    /// Ends at once and leaves a process behind that holds its output open.
    PipeHolder,
    /// Many, deaf, each in a session of its own; for each that dies others are born.
    Bomb,
    /// Never stops writing.
    Writer,
    /// Kills the process that started it.
    ParentKiller,
    /// With a daemon; it kills the process that started it and the one that started that.
    Patricide,
    /// An MCP server, busy with a call.
    Server,
    /// With a daemon; both ignore signals, and the server the end of its input.
    DeafServer,
    /// Ends in the middle of a call and leaves a daemon behind.
    DyingServer,
    /// What the daemons above become.
    Orphan,
}

impl Animal {
    /// As on the command line; names its tool and its agent as well.
    pub fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// Processes that have told their pid when it is ready.
    pub fn members(self) -> usize {
        match self {
            Self::Bomb => BOMB_START,
            Self::Family => 3,
            Self::NewSession
            | Self::Daemon
            | Self::DeafDaemon
            | Self::DeafServer
            | Self::Patricide => 2,
            _ => 1,
        }
    }

    /// Whether something of it is out of the reach of a signal to its process group.
    pub fn escapes_its_group(self) -> bool {
        matches!(
            self,
            Self::NewSession
                | Self::Daemon
                | Self::DeafDaemon
                | Self::DeafServer
                | Self::DyingServer
                | Self::Leaver
                | Self::Bomb
        )
    }
}

/// Lives as this animal to the end of its life; must be called before there is a second thread.
///
/// # Errors
/// The den can't be written, or the output can't.
pub fn live(animal: Animal, den: &Path) -> io::Result<()> {
    match animal {
        Animal::Sleeper | Animal::Orphan => {}
        Animal::Deaf => ignore_signals(),
        Animal::Family => {
            let _ = forked() && forked();
        }
        Animal::NewSession => {
            if forked() {
                setsid()?;
            }
        }
        Animal::Daemon | Animal::DeafDaemon => {
            if animal == Animal::DeafDaemon {
                ignore_signals();
            }
            if forked() {
                return become_daemon(den);
            }
        }
        Animal::Stopped => {
            enter(den)?;
            raise(Signal::SIGSTOP)?;
            return rest();
        }
        Animal::Leaver => {
            say("left")?;
            return if forked() { become_daemon(den) } else { wait_for(den, 1) };
        }
        Animal::PipeHolder => {
            say("held")?;
            if !forked() {
                return wait_for(den, 1);
            }
        }
        Animal::Server | Animal::DeafServer | Animal::DyingServer => return serve(animal, den),
        Animal::Bomb => return go_off(den),
        Animal::Writer => {
            enter(den)?;
            return write_for_ever();
        }
        Animal::ParentKiller => return kill_parent(den, false),
        Animal::Patricide => {
            if forked() {
                return become_daemon(den);
            }
            wait_for(den, 1)?;
            return kill_parent(den, true);
        }
    }
    enter(den)?;
    rest()
}

fn serve(animal: Animal, den: &Path) -> io::Result<()> {
    if animal == Animal::DeafServer {
        ignore_signals();
    }
    if !mcp::serve_until_called()? {
        return Ok(());
    }
    if animal != Animal::Server && forked() {
        return become_daemon(den);
    }
    if animal == Animal::DyingServer {
        return wait_for(den, 1);
    }
    enter(den)?;
    rest()
}

/// Goes on as two processes; true in the new one.
#[expect(unsafe_code, reason = "an animal is several processes of one program")]
fn forked() -> bool {
    // SAFETY: there is one thread, so nothing in the new process can be held by another.
    matches!(unsafe { fork() }, Ok(ForkResult::Child))
}

/// What is ignored stays so in every process that comes of this one.
#[expect(unsafe_code, reason = "a signal's disposition can be set no other way")]
fn ignore_signals() {
    for ignored in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        // SAFETY: to ignore a signal runs no code of ours.
        let _ = unsafe { signal(ignored, SigHandler::SigIgn) };
    }
}

/// The name of an empty file is the pid: it is there as a whole or not at all.
fn enter(den: &Path) -> io::Result<()> {
    File::create(den.join(getpid().to_string())).map(drop)
}

/// Sleeping goes on after a stop, and ends by itself.
fn rest() -> io::Result<()> {
    sleep(LIFETIME);
    Ok(())
}

fn say(line: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}")?;
    stdout.flush()
}

/// Until so many have told their pid.
fn wait_for(den: &Path, members: usize) -> io::Result<()> {
    let born = Instant::now();
    while born.elapsed() < LIFETIME && strays::recorded(den).len() < members {
        sleep(POLL);
    }
    Ok(())
}

/// A new session, a second fork, no open file, and a new program without any environment.
fn become_daemon(den: &Path) -> io::Result<()> {
    setsid()?;
    if !forked() {
        return Ok(());
    }
    for file in 3..MOST_FILES {
        let _ = close(file);
    }
    Err(Command::new(super::executable())
        .args(["selftest", "--as", &Animal::Orphan.name()])
        .arg(den)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .exec())
}

fn kill_parent(den: &Path, and_grandparent: bool) -> io::Result<()> {
    enter(den)?;
    let parent = getppid();
    let grandparent = and_grandparent.then(|| strays::parent(parent)).flatten();
    // The other way round it could be dead before it comes to the second.
    for victim in grandparent.into_iter().chain([parent]) {
        kill(victim, Signal::SIGKILL)?;
    }
    rest()
}

fn write_for_ever() -> io::Result<()> {
    let block = b"y\n".repeat(32 * 1024);
    let mut stdout = io::stdout().lock();
    let born = Instant::now();
    while born.elapsed() < LIFETIME {
        stdout.write_all(&block)?;
    }
    Ok(())
}

/// Begins as many, and answers each death of a child or parent with births, [`BOMB_BIRTHS`] in all.
fn go_off(den: &Path) -> io::Result<()> {
    ignore_signals();
    let born = Instant::now();
    let mut unborn = 0;
    for _ in 1..BOMB_START {
        if may_be_born(den)? && forked() {
            setsid()?;
            break;
        }
    }
    enter(den)?;
    let mut parent = getppid();
    while born.elapsed() < LIFETIME {
        while matches!(
            waitpid(None::<Pid>, Some(WaitPidFlag::WNOHANG)),
            Ok(WaitStatus::Exited(..) | WaitStatus::Signaled(..))
        ) {
            unborn += 2;
        }
        if getppid() != parent {
            parent = getppid();
            unborn += 1;
        }
        for _ in 0..std::mem::take(&mut unborn) {
            if may_be_born(den)? && forked() {
                setsid()?;
                enter(den)?;
                parent = getppid();
                break;
            }
        }
        sleep(POLL);
    }
    Ok(())
}

/// Counts births in a file beside the den: its length after one byte more is a number that nobody
/// else gets.
fn may_be_born(den: &Path) -> io::Result<bool> {
    let mut births =
        File::options().append(true).create(true).open(den.with_extension("births"))?;
    births.write_all(b".")?;
    Ok(io::Seek::stream_position(&mut births)? < BOMB_BIRTHS)
}
