//! Sandboxes through Landlock.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, Errno, PathBeneath,
    PathFd, Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus,
    Scope,
};
use nix::sys::stat::{SFlag, fstat};

use crate::process::sandbox::{SINK, SYSTEM, Sandbox};

/// Before it a file could be emptied that may not be written.
const FILES: ABI = ABI::V3;
/// The first that knows of TCP.
const TCP: ABI = ABI::V4;
/// The first that knows of UDP.
const UDP: ABI = ABI::V10;

/// What this kernel cannot keep of a sandbox.
pub fn lacking(sandbox: &Sandbox) -> Option<String> {
    let files = |abi| required().handle_access(AccessFs::from_all(abi)).is_ok();
    let tcp = || required().handle_access(AccessNet::from_all(TCP)).is_ok();
    if !files(ABI::V1) {
        Some("this kernel has no Landlock (Linux 5.13), or it is not switched on".to_owned())
    } else if !files(FILES) {
        Some("this kernel cannot keep files from being emptied (Linux 6.2 can)".to_owned())
    } else if !sandbox.network && !tcp() {
        Some("this kernel cannot keep a program from the network (Linux 6.7 can)".to_owned())
    } else {
        None
    }
}

fn required() -> Ruleset {
    Ruleset::default().set_compatibility(CompatLevel::HardRequirement)
}

/// A sandbox made ready by one process for another to enter.
#[derive(Debug)]
pub struct Confinement {
    rules: RulesetCreated,
    required: bool,
}

impl Confinement {
    /// `program` is what is to be started: it may be read and run wherever it is.
    ///
    /// # Errors
    /// A path of the sandbox cannot be opened, or the kernel cannot keep what is required.
    pub fn new(sandbox: &Sandbox, program: Option<&Path>) -> io::Result<Self> {
        let rules = ruleset(sandbox).map_err(from_ruleset)?;
        let (read, all) = (AccessFs::from_read(FILES), all(sandbox));
        let mut confinement = Self { rules, required: sandbox.required };
        for path in SYSTEM.iter().map(Path::new).chain(program) {
            // Not every system has them all.
            let _absent = confinement.allow(path, read);
        }
        let _absent = confinement.allow(Path::new(SINK), all);
        sandbox.read.iter().try_for_each(|path| confinement.allow(path, read))?;
        sandbox.write.iter().try_for_each(|path| confinement.allow(path, all))?;
        Ok(confinement)
    }

    fn allow(&mut self, path: &Path, access: BitFlags<AccessFs>) -> io::Result<()> {
        let opened = PathFd::new(path).map_err(|error| {
            let code = Errno::from(error);
            io::Error::from_raw_os_error(*code)
        })?;
        let kind = SFlag::from_bits_truncate(fstat(opened.as_fd())?.st_mode) & SFlag::S_IFMT;
        let is_folder = kind == SFlag::S_IFDIR;
        let access = if is_folder { access } else { access & AccessFs::from_file(UDP) };
        let rule = PathBeneath::new(opened, access);
        (&mut self.rules).add_rule(rule).map_err(from_ruleset)?;
        Ok(())
    }

    /// Confines the calling process and all it starts from now on, for good.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn enter(self) -> io::Result<()> {
        let status = self.rules.restrict_self().map_err(from_ruleset)?;
        match status.ruleset {
            RulesetStatus::NotEnforced if self.required => Err(io::ErrorKind::Unsupported.into()),
            _ => Ok(()),
        }
    }
}

/// Everything that is done with files, as far as it is asked for.
fn all(sandbox: &Sandbox) -> BitFlags<AccessFs> {
    let all = AccessFs::from_all(FILES) | AccessFs::IoctlDev;
    if sandbox.network { all } else { all | AccessFs::ResolveUnix }
}

fn ruleset(sandbox: &Sandbox) -> Result<RulesetCreated, RulesetError> {
    let mut rules = if sandbox.required { required() } else { Ruleset::default() };
    rules = rules.handle_access(AccessFs::from_all(FILES))?;
    if !sandbox.network {
        rules = rules.handle_access(AccessNet::from_all(TCP))?;
    }
    // The rest is not promised, and taken where it can be had.
    rules = rules.set_compatibility(CompatLevel::BestEffort);
    rules = rules.handle_access(all(sandbox))?.scope(Scope::Signal)?;
    if !sandbox.network {
        rules = rules.handle_access(AccessNet::from_all(UDP))?.scope(Scope::AbstractUnixSocket)?;
    }
    rules.create()
}

fn from_ruleset(error: RulesetError) -> io::Error {
    io::Error::from_raw_os_error(*Errno::from(error))
}
