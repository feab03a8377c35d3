//! A batch as an array of a real Slurm, which runs on this machine for the test. Skipped where
//! Slurm is not installed, and without root.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use indoc::{formatdoc, indoc};
use serde_json::Value;
use tempfile::TempDir;

const CREW: &str = env!("CARGO_BIN_EXE_crew");
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/scale/slurm.sh");
/// Slurm starts jobs again after half a minute at least.
const PATIENCE: Duration = Duration::from_secs(240);

/// The daemons of a cluster of one machine, stopped when dropped.
struct Slurm {
    folder: TempDir,
    daemons: Vec<Child>,
}

impl Slurm {
    /// `None` where it cannot run.
    fn start() -> Option<Self> {
        let installed = ["munged", "slurmctld", "slurmd", "srun"];
        let is_installed = |program: &&str| {
            ["/usr/sbin", "/usr/bin"].iter().any(|folder| Path::new(folder).join(program).exists())
        };
        if !installed.iter().all(is_installed) || !is_root() {
            return None;
        }
        let mut slurm = Self { folder: TempDir::new().unwrap(), daemons: Vec::new() };
        for folder in ["state", "spool"] {
            fs::create_dir(slurm.path(folder)).unwrap();
        }
        fs::write(slurm.path("munge.key"), [7; 128]).unwrap();
        mode(&slurm.path("munge.key"), 0o600);
        mode(slurm.folder.path(), 0o755);
        fs::write(slurm.path("slurm.conf"), slurm.configuration()).unwrap();
        let path = |name: &str| slurm.path(name).display().to_string();
        let [socket, conf] = ["munge.socket", "slurm.conf"].map(path);
        let munged = [
            "--foreground".to_owned(),
            "--force".to_owned(),
            format!("--key-file={}", path("munge.key")),
            format!("--socket={socket}"),
            format!("--pid-file={}", path("munge.pid")),
            format!("--log-file={}", path("munge.log")),
            format!("--seed-file={}", path("munge.seed")),
        ];
        slurm.daemon("munged", &munged);
        wait("munged", || Path::new(&socket).exists());
        slurm.daemon("slurmctld", &["-D", "-i", "-f", &conf].map(str::to_owned));
        slurm.daemon("slurmd", &["-D", "-c", "-N", "crew", "-f", &conf].map(str::to_owned));
        wait("a node", || slurm.output("sinfo", &["-h", "-o", "%T"]).trim() == "idle");
        Some(slurm)
    }

    fn configuration(&self) -> String {
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        let host = host.trim();
        let [one, other] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
        formatdoc! {"
            ClusterName=crew
            SlurmctldHost={host}(127.0.0.1)
            SlurmUser=root
            SlurmctldPort={}
            SlurmdPort={}
            AuthType=auth/munge
            AuthInfo=socket={dir}/munge.socket,cred_expire=5
            CredType=cred/munge
            StateSaveLocation={dir}/state
            SlurmdSpoolDir={dir}/spool
            SlurmctldPidFile={dir}/slurmctld.pid
            SlurmdPidFile={dir}/slurmd.pid
            SlurmctldLogFile={dir}/slurmctld.log
            SlurmdLogFile={dir}/slurmd.log
            ProctrackType=proctrack/pgid
            TaskPlugin=task/none
            MpiDefault=none
            SelectType=select/cons_tres
            SelectTypeParameters=CR_Core
            SlurmdParameters=config_overrides
            SchedulerParameters=sched_interval=1,bf_interval=1
            NodeName=crew NodeHostname={host} NodeAddr=127.0.0.1 CPUs=4 State=UNKNOWN
            PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
        ", port(&one), port(&other), dir = self.folder.path().display()}
    }

    fn daemon(&mut self, program: &str, arguments: &[String]) {
        let log = fs::File::create(self.path(&format!("{program}.out"))).unwrap();
        let mut command = self.command(&format!("/usr/sbin/{program}"));
        command.args(arguments).stdout(log.try_clone().unwrap()).stderr(log);
        self.daemons.push(command.spawn().unwrap());
    }

    /// A command that sees this cluster, and crew in its path.
    fn command(&self, program: &str) -> Command {
        let crew = Path::new(CREW).parent().unwrap().display();
        let mut command = Command::new(program);
        command
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", format!("{crew}:/usr/local/bin:/usr/bin:/usr/sbin:/bin"))
            .env("HOME", self.folder.path())
            .env("SLURM_CONF", self.path("slurm.conf"))
            .stdin(Stdio::null());
        command
    }

    fn output(&self, program: &str, arguments: &[&str]) -> String {
        let output = self.command(program).args(arguments).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Submits the script of the example for an array, and returns the job's number.
    fn submit(&self, array: &str, options: &[&str]) -> String {
        let array = format!("--array={array}");
        let log = "--output=job-%a.log";
        let arguments = ["--parsable", &array, log, SCRIPT, "in.jsonl", "out"];
        let job = self.output("sbatch", &[&arguments, options].concat());
        assert!(!job.trim().is_empty(), "sbatch --array={array} failed");
        job.trim().to_owned()
    }

    fn wait_until_done(&self) {
        wait("the jobs", || self.output("squeue", &["-h"]).trim().is_empty());
    }

    fn results(&self, part: u32, of: u32) -> String {
        fs::read_to_string(self.path(&format!("out/part-{part}-of-{of}.jsonl"))).unwrap_or_default()
    }

    fn logs(&self) -> String {
        let log = |task: u32| fs::read_to_string(self.path(&format!("job-{task}.log")));
        [0, 10, 20].into_iter().filter_map(|task| log(task).ok()).collect()
    }
}

impl Drop for Slurm {
    fn drop(&mut self) {
        let _ = self.output("scancel", &["--user=root"]);
        for daemon in self.daemons.iter_mut().rev() {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn wait(what: &str, mut is_there: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_there() {
        assert!(begun.elapsed() < PATIENCE, "{what} took longer than {PATIENCE:?}");
        sleep(Duration::from_millis(200));
    }
}

#[test]
fn an_array_is_drained_queued_again_and_resubmitted_in_part() {
    let Some(slurm) = Slurm::start() else { return };
    let crew = indoc! {r#"
        agents:
          work: {shell: 'sleep 0.3; echo "$x" >> ran', env: {x: '{{ input }}'}}
    "#};
    fs::write(slurm.path("agents.yaml"), crew).unwrap();
    let inputs: String = (0..120).map(|input| format!("\"input {input}\"\n")).collect();
    fs::write(slurm.path("in.jsonl"), inputs).unwrap();
    let lines = || (0..3).map(|task| slurm.results(task + 1, 3).lines().count()).sum::<usize>();

    // To the steps, as `--signal=USR1@120` does it two minutes before the time limit.
    let job = slurm.submit("0-20:10", &["-j", "2"]);
    wait("some results", || lines() >= 6);
    slurm.output("scancel", &["--signal=USR1", &job]);
    slurm.wait_until_done();
    assert!(slurm.logs().contains("exit code 75"), "{}", slurm.logs());
    assert_eq!(lines(), 120, "{}", slurm.logs());

    // A part whose results are lost; the array of one task has other numbers.
    fs::remove_file(slurm.path("out/part-2-of-3.jsonl")).unwrap();
    let (ran, lost) = (fs::read_to_string(slurm.path("ran")).unwrap(), 120 - lines());
    assert_eq!(ran.lines().count(), 120, "an input ran twice");
    slurm.submit("10", &["-j", "8"]);
    slurm.wait_until_done();
    let again = fs::read_to_string(slurm.path("ran")).unwrap().lines().count();
    assert_eq!((lines(), again), (120, 120 + lost), "{}", slurm.logs());

    let merged = slurm.output(CREW, &["batch", "merge", "out"]);
    let index = |line: &str| serde_json::from_str::<Value>(line).unwrap()["index"].as_u64();
    let found: Vec<u64> = merged.lines().filter_map(index).collect();
    assert_eq!(found, (0..120).collect::<Vec<u64>>());
}
