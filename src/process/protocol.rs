//! The messages between crew and the reaper of a tool: one JSON document per line.

use std::ffi::OsString;
use std::path::PathBuf;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::process::sandbox::Sandbox;

/// A program to start.
#[derive(Debug, Serialize, Deserialize)]
pub struct Invocation {
    pub program: OsString,
    pub arguments: Vec<OsString>,
    /// The complete environment.
    pub environment: Vec<(OsString, OsString)>,
    /// `None` leaves crew's own.
    pub cwd: Option<PathBuf>,
    pub sandbox: Option<Sandbox>,
}

/// A message from crew to a reaper. The end of the stream means that crew has gone.
#[derive(Debug, Serialize, Deserialize)]
pub enum Order {
    /// Start this program. Always the first order.
    Start(Invocation),
    /// Send SIGTERM to every process of the tool.
    Stop,
    /// Kill every process of the tool.
    Kill,
}

/// A message from a reaper to crew. If the stream ends without [`Notice::Gone`], the reaper was
/// killed, and the guardian kills the rest of the tool.
#[derive(Debug, Serialize, Deserialize)]
pub enum Notice {
    /// The tool is running. `leader` is the pid of its first process and of its session.
    Started { reaper: i32, leader: i32 },
    /// `error` is an `errno` value.
    CouldNotStart { error: i32 },
    /// The tool's first process has ended with this wait status; others may still run.
    Ended { status: i32 },
    /// No process of the tool is left. `stopped` processes ended after SIGTERM.
    Gone { stopped: u64, killed: u64 },
}

/// Encodes a message for sending.
pub fn encode(message: &impl Serialize) -> std::io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    Ok(line)
}

/// Takes the first complete message out of `received`. Skips lines that cannot be decoded: both
/// sides are the same program, so such a line was cut off when its sender ended.
pub fn take<T: DeserializeOwned>(received: &mut Vec<u8>) -> Option<T> {
    loop {
        let end = received.iter().position(|&byte| byte == b'\n')?;
        let line: Vec<u8> = received.drain(..=end).collect();
        if let Ok(message) = serde_json::from_slice(&line) {
            return Some(message);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    #[test]
    fn a_message_survives_any_content_and_any_split() {
        let odd = OsString::from_vec(vec![b'\n', 0xff, b'"']);
        let order = Order::Start(Invocation {
            program: odd.clone(),
            arguments: vec![odd.clone(), OsString::new()],
            environment: vec![(odd.clone(), odd.clone())],
            cwd: None,
            sandbox: None,
        });
        let mut sent = encode(&order).unwrap();
        sent.extend(encode(&Order::Kill).unwrap());
        let mut received = Vec::new();
        let mut taken = Vec::new();
        for byte in sent {
            received.push(byte);
            taken.extend(take::<Order>(&mut received));
        }
        let [Order::Start(invocation), Order::Kill] = taken.as_slice() else { panic!("{taken:?}") };
        assert_eq!(invocation.program, odd);
        assert_eq!(invocation.arguments, [odd.clone(), OsString::new()]);
        assert_eq!(invocation.environment, [(odd.clone(), odd)]);
        assert!(received.is_empty());
    }
}
