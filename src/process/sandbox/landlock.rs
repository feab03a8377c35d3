//! Sandboxes enforced by Landlock.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, Errno, PathBeneath,
    PathFd, Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus,
    Scope,
};
use nix::sys::stat::{SFlag, fstat};

use super::policy::Sandbox;

/// The first version that can forbid truncating a file.
const FILES: ABI = ABI::V3;
/// The first version that covers TCP.
const TCP: ABI = ABI::V4;
/// The first version that covers UDP.
const UDP: ABI = ABI::V10;

/// Paths that most programs need to start. They may be read and executed in every sandbox.
const SYSTEM: [&str; 13] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/nix/store",
    "/etc",
    // Often a link to a file outside /etc, and needed to resolve names.
    "/etc/resolv.conf",
    "/dev/zero",
    "/dev/random",
    "/dev/urandom",
];
/// May also be written in every sandbox.
const SINK: &str = "/dev/null";

impl Sandbox {
    /// The part of the policy that this kernel cannot enforce, as a message.
    pub fn unsupported(&self) -> Option<String> {
        let files = |abi| required().handle_access(AccessFs::from_all(abi)).is_ok();
        let tcp = || required().handle_access(AccessNet::from_all(TCP)).is_ok();
        if !files(ABI::V1) {
            Some("this kernel has no Landlock (Linux 5.13), or it is disabled".to_owned())
        } else if !files(FILES) {
            Some("this kernel cannot forbid truncating files (needs Linux 6.2)".to_owned())
        } else if !self.network && !tcp() {
            Some("this kernel cannot forbid network access (needs Linux 6.7)".to_owned())
        } else {
            None
        }
    }
}

fn required() -> Ruleset {
    Ruleset::default().set_compatibility(CompatLevel::HardRequirement)
}

/// A sandbox that one process prepares and another one enters.
#[derive(Debug)]
pub struct Confinement {
    rules: RulesetCreated,
    required: bool,
}

impl Confinement {
    /// `program` is the program to start. It may be read and executed wherever it is.
    ///
    /// # Errors
    /// A path of the sandbox cannot be opened, or the kernel cannot enforce a required sandbox.
    pub fn new(sandbox: &Sandbox, program: Option<&Path>) -> io::Result<Self> {
        let rules = ruleset(sandbox).map_err(from_ruleset)?;
        let (read, all) = (AccessFs::from_read(FILES), all(sandbox));
        let mut confinement = Self { rules, required: sandbox.required };
        for path in SYSTEM.iter().map(Path::new).chain(program) {
            // Few systems have all of these paths.
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

    /// Confines the calling process and its future descendants permanently.
    ///
    /// # Errors
    /// The kernel rejects the rules.
    pub fn enter(self) -> io::Result<()> {
        let status = self.rules.restrict_self().map_err(from_ruleset)?;
        match status.ruleset {
            RulesetStatus::NotEnforced if self.required => Err(io::ErrorKind::Unsupported.into()),
            _ => Ok(()),
        }
    }
}

/// All rights on a file that may be written.
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
    // The rest is not promised, but used where the kernel supports it.
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
