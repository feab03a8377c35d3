//! Reports are replaced in one step, or written directly.

use std::io::Read;
use std::os::unix::fs::symlink;

use nix::sys::stat::Mode;
use tempfile::TempDir;

use super::*;

fn folder() -> TempDir {
    TempDir::new().unwrap()
}

fn names(folder: &TempDir) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn put(path: &Path, text: &str) -> anyhow::Result<()> {
    Ok(Sink::open(Some(path))?.write(|out| out.write_all(text.as_bytes()))?)
}

#[test]
fn a_new_file_has_the_usual_permissions() {
    let folder = folder();
    let path = folder.path().join("report.json");
    put(&path, "new").unwrap();
    let usual = folder.path().join("usual");
    File::create(&usual).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "new");
    let mode = |path| fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(&path), mode(&usual));
    assert_eq!(names(&folder), ["report.json", "usual"]);
}

#[test]
fn an_existing_file_is_replaced_in_one_step_and_keeps_its_permissions() {
    let folder = folder();
    let path = folder.path().join("report.json");
    fs::write(&path, "old").unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    Sink::open(Some(&path))
        .unwrap()
        .write(|out| {
            out.write_all(b"new")?;
            out.flush()?;
            assert_eq!(fs::read_to_string(&path).unwrap(), "old");
            Ok(())
        })
        .unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "new");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o640);
    assert_eq!(names(&folder), ["report.json"]);
}

#[test]
fn a_failed_run_changes_nothing() {
    let folder = folder();
    let path = folder.path().join("report.json");
    drop(Sink::open(Some(&path)).unwrap());
    assert!(names(&folder).is_empty());
    fs::write(&path, "old").unwrap();
    let error = Sink::open(Some(&path))
        .unwrap()
        .write(|out| {
            out.write_all(b"half")?;
            Err(io::Error::other("full"))
        })
        .unwrap_err();
    assert!(error.to_string().contains("report.json"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "old");
    assert_eq!(names(&folder), ["report.json"]);
}

#[test]
fn links_are_followed_and_stay_links() {
    let folder = folder();
    fs::create_dir(folder.path().join("sub")).unwrap();
    symlink("sub/real", folder.path().join("one")).unwrap();
    symlink("one", folder.path().join("two")).unwrap();
    for text in ["the target is new", "the target exists"] {
        put(&folder.path().join("two"), text).unwrap();
        assert_eq!(fs::read_to_string(folder.path().join("sub/real")).unwrap(), text);
        assert!(folder.path().join("two").is_symlink());
    }
    symlink("loop", folder.path().join("loop")).unwrap();
    assert!(matches!(Sink::open(Some(&folder.path().join("loop"))), Err(OpenError::Denied { .. })));
}

#[test]
fn directories_and_missing_directories_are_rejected() {
    let folder = folder();
    symlink(".", folder.path().join("link")).unwrap();
    for name in ["", "link", "new/", "..", "."] {
        let error = Sink::open(Some(&folder.path().join(name))).unwrap_err();
        assert!(matches!(error, OpenError::Directory { .. }), "{name}: {error}");
    }
    let error = Sink::open(Some(&folder.path().join("no/report"))).unwrap_err();
    assert!(matches!(error, OpenError::NoFolder { .. }), "{error}");
    assert!(error.to_string().ends_with("/no\" first"), "{error}");
    assert!(Sink::open(Some(Path::new(""))).is_err());
    assert_eq!(names(&folder), ["link"]);
}

#[test]
fn a_device_is_written_directly() {
    put(Path::new("/dev/null"), "gone").unwrap();
    assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
}

#[test]
fn a_named_pipe_needs_a_reader() {
    let folder = folder();
    let path = folder.path().join("pipe");
    nix::unistd::mkfifo(&path, Mode::from_bits_truncate(0o600)).unwrap();
    assert!(matches!(Sink::open(Some(&path)), Err(OpenError::NoReader { .. })));
    // Opening both ends at once never waits.
    let mut reader = OpenOptions::new().read(true).write(true).open(&path).unwrap();
    put(&path, "through").unwrap();
    let mut text = [0; 7];
    reader.read_exact(&mut text).unwrap();
    assert_eq!(&text, b"through");
    assert_eq!(names(&folder), ["pipe"]);
}

#[test]
fn a_report_that_cannot_replace_its_file_is_kept() {
    let folder = folder();
    let path = folder.path().join("report.json");
    let error = Sink::open(Some(&path))
        .unwrap()
        .write(|out| {
            fs::create_dir(&path)?;
            out.write_all(b"paid for")
        })
        .unwrap_err();
    let WriteError::Replace { kept, .. } = error else { panic!("{error}") };
    assert_eq!(fs::read_to_string(kept).unwrap(), "paid for");
}
