//! What crew and the reaper of a tool tell each other: JSON, one message a line.

use std::ffi::OsString;
use std::path::PathBuf;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::process::sandbox::Sandbox;

/// What to start.
#[derive(Debug, Serialize, Deserialize)]
pub struct Invocation {
    pub program: OsString,
    pub arguments: Vec<OsString>,
    /// The whole environment.
    pub environment: Vec<(OsString, OsString)>,
    /// `None`: crew's own.
    pub cwd: Option<PathBuf>,
    pub sandbox: Option<Sandbox>,
}

/// From crew to a reaper. The end of the stream means that crew has gone.
#[derive(Debug, Serialize, Deserialize)]
pub enum Order {
    /// Always the first one.
    Start(Invocation),
    /// Ask every process of the tool to end.
    Stop,
    /// Kill every process of the tool.
    Kill,
}

/// From a reaper to crew. The end of the stream without [`Notice::Gone`] means that the reaper was
/// killed; what it watched over is then the guardian's to kill.
#[derive(Debug, Serialize, Deserialize)]
pub enum Notice {
    /// The tool runs: the pids of both. The tool's is that of its session as well.
    Started { reaper: i32, leader: i32 },
    /// `error` is an error number.
    CouldNotStart { error: i32 },
    /// The tool's own process has ended, with this wait status; others may live on.
    Ended { status: i32 },
    /// Nothing of the tool is left. How many processes ended when asked to, how many were killed.
    Gone { stopped: u64, killed: u64 },
}

/// A message as it is sent.
pub fn encode(message: &impl Serialize) -> std::io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    Ok(line)
}

/// Takes the first whole message out of what has arrived. One that cannot be read is skipped: both
/// sides are the same program, so it can only be one that was cut off by an end.
pub fn take<T: DeserializeOwned>(arrived: &mut Vec<u8>) -> Option<T> {
    loop {
        let end = arrived.iter().position(|&byte| byte == b'\n')?;
        let line: Vec<u8> = arrived.drain(..=end).collect();
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
    fn messages_arrive_whole_however_they_are_cut_and_whatever_they_hold() {
        let strange = OsString::from_vec(vec![b'\n', 0xff, b'"']);
        let order = Order::Start(Invocation {
            program: strange.clone(),
            arguments: vec![strange.clone(), OsString::new()],
            environment: vec![(strange.clone(), strange.clone())],
            cwd: None,
            sandbox: None,
        });
        let mut sent = encode(&order).unwrap();
        sent.extend(encode(&Order::Kill).unwrap());
        let mut arrived = Vec::new();
        let mut taken = Vec::new();
        for byte in sent {
            arrived.push(byte);
            taken.extend(take::<Order>(&mut arrived));
        }
        let [Order::Start(invocation), Order::Kill] = taken.as_slice() else { panic!("{taken:?}") };
        assert_eq!(invocation.program, strange);
        assert_eq!(invocation.arguments, [strange.clone(), OsString::new()]);
        assert_eq!(invocation.environment, [(strange.clone(), strange)]);
        assert!(arrived.is_empty());
    }
}
