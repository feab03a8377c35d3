//! Sandboxes: limits on the files and the network that a process and its descendants can use. The
//! Linux kernel enforces them, through Landlock; on other systems nothing does.

#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod landlock;
mod policy;

#[cfg(not(target_os = "linux"))]
pub use elsewhere::Confinement;
#[cfg(target_os = "linux")]
pub use landlock::Confinement;
pub use policy::Sandbox;
