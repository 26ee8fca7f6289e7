//! Source of the figures: the machine, its storage, and what this process takes of it.

use std::fmt;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::{Result, percentile};

/// Syncs measured.
const SYNCS: usize = 200;
/// Bytes appended before each.
const SYNCED_BYTES: usize = 4_096;

/// The machine of a run.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    cpu: String,
    cores: usize,
    memory_gib: f64,
    kernel: String,
    large_pages: String,
    file_system: String,
    fsync_p50_us: f64,
    fsync_p99_us: f64,
    /// Load average of the last minute when the run began, and when it ended.
    load_before: f64,
    load_after: Option<f64>,
}

impl Machine {
    /// Notes the load at the end of the run.
    pub fn note_load(&mut self) {
        self.load_after = Some(load());
    }

    /// Processor and number of cores.
    pub fn short(&self) -> String {
        format!("{}, {} cores", self.cpu, self.cores)
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}, {} cores, {:.1} GiB, Linux {}, large pages {}; {}: fsync of 4 KiB p50 {:.0} µs, p99 {:.0} µs; load {}",
            self.cpu,
            self.cores,
            self.memory_gib,
            self.kernel,
            self.large_pages,
            self.file_system,
            self.fsync_p50_us,
            self.fsync_p99_us,
            self.load_before
        )?;
        self.load_after.map_or(Ok(()), |load| write!(f, " before, {load} after"))
    }
}

/// Looks at the machine, and measures the storage of `folder`.
pub fn describe(folder: &Path) -> Result<Machine> {
    let mut syncs = fsync_us(folder)?;
    Ok(Machine {
        cpu: field("/proc/cpuinfo", "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
        cores: cores(),
        memory_gib: kib("/proc/meminfo", "MemTotal").unwrap_or(0) as f64 / f64::from(1 << 20),
        kernel: words("/proc/sys/kernel/osrelease"),
        large_pages: large_pages(),
        file_system: file_system(folder),
        fsync_p50_us: percentile(&mut syncs, 50.0),
        fsync_p99_us: percentile(&mut syncs, 99.0),
        load_before: load(),
        load_after: None,
    })
}

/// Cores that this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Bytes of memory that can still be had.
pub fn available_bytes() -> u64 {
    kib("/proc/meminfo", "MemAvailable").unwrap_or(u64::MAX >> 10) << 10
}

/// Bytes of memory that this process holds.
pub fn resident_bytes() -> u64 {
    kib("/proc/self/status", "VmRSS").unwrap_or(0) << 10
}

/// Bytes of memory that `process` holds; 0 when it is gone.
pub fn resident_bytes_of(process: u32) -> u64 {
    kib(&format!("/proc/{process}/status"), "VmRSS").unwrap_or(0) << 10
}

/// The most bytes of memory that `process` has had at once; 0 when it is gone.
pub fn peak_bytes_of(process: u32) -> u64 {
    kib(&format!("/proc/{process}/status"), "VmHWM").unwrap_or(0) << 10
}

/// Begins to look for that anew.
pub fn forget_peak_of(process: u32) -> std::io::Result<()> {
    fs::write(format!("/proc/{process}/clear_refs"), "5")
}

/// Bytes that the kernel holds for sockets and itself: slabs, and buffers of TCP.
pub fn kernel_bytes() -> u64 {
    let slabs = kib("/proc/meminfo", "Slab").unwrap_or(0) << 10;
    let sockets = field("/proc/net/sockstat", "TCP:").and_then(|line| line.split_whitespace().last()?.parse().ok());
    slabs + sockets.unwrap_or(0) * 4_096
}

/// Lets this process, and those it starts, have as many files open as the system allows; answers how many.
pub fn open_many_files() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // Without it the bench runs until it hits the lower limit, and says so.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    limit.maximum.unwrap_or(u64::MAX)
}

/// Processor time that the threads of `process` which still run have used, to the nanosecond.
pub fn cpu_time_exact(process: u32) -> Duration {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let spent = |task: fs::DirEntry| {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    };
    Duration::from_nanos(tasks.filter_map(spent).sum())
}

/// Processor time that `process` and those below it have used; what ended counts once it was waited for.
pub fn cpu_time_of_all(process: u32) -> Duration {
    let ended = fs::read_to_string(format!("/proc/{process}/stat")).ok().and_then(|stat| Some(times(&stat)?.1));
    let below: Duration = children_of(process).into_iter().map(cpu_time_of_all).sum();
    cpu_time_exact(process) + ended.unwrap_or_default() + below
}

/// Processor time that `process` has used; `None` when it is gone.
pub fn cpu_time(process: u32) -> Option<Duration> {
    Some(times(&fs::read_to_string(format!("/proc/{process}/stat")).ok()?)?.0)
}

/// Processor time in a process's `stat`: its own, and that of its children that ended and were waited for.
fn times(stat: &str) -> Option<(Duration, Duration)> {
    // USER_HZ is 100 on every Linux that Rust supports.
    const TICK_MS: u64 = 10;
    // The name, in brackets, may hold anything; user and system time are the 12th and 13th field after it, then those
    // of the children.
    let mut fields = stat.rsplit(')').next()?.split_whitespace().skip(11).map(str::parse::<u64>);
    let mut two = || Some(Duration::from_millis((fields.next()?.ok()? + fields.next()?.ok()?) * TICK_MS));
    Some((two()?, two()?))
}

/// Processor time that this thread has used.
pub fn on_cpu() -> Duration {
    let spent = words("/proc/thread-self/schedstat");
    Duration::from_nanos(spent.split(' ').next().and_then(|nanoseconds| nanoseconds.parse().ok()).unwrap_or(0))
}

/// Processes whose parent is `process`.
pub fn children_of(process: u32) -> Vec<u32> {
    let path = format!("/proc/{process}/task/{process}/children");
    words(&path).split_whitespace().filter_map(|id| id.parse().ok()).collect()
}

fn words(path: &str) -> String {
    fs::read_to_string(path).map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
}

fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn kib(path: &str, name: &str) -> Option<u64> {
    field(path, name)?.split_whitespace().next()?.parse().ok()
}

fn large_pages() -> String {
    let modes = words("/sys/kernel/mm/transparent_hugepage/enabled");
    let chosen = modes.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
    chosen.map_or_else(|| "unknown".to_owned(), |(mode, _)| mode.to_owned())
}

/// Kind of the file system that holds `folder`.
fn file_system(folder: &Path) -> String {
    let folder = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    let mounts = words("/proc/self/mounts");
    let holding = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (point, kind) = (fields.next()?, fields.next()?);
        folder.starts_with(point).then_some((point.len(), kind))
    });
    holding.max_by_key(|(length, _)| *length).map_or_else(|| "unknown".to_owned(), |(_, kind)| kind.to_owned())
}

fn load() -> f64 {
    words("/proc/loadavg").split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(0.0)
}

/// Microseconds of syncs of a file in `folder`, one after the other.
pub fn fsync_us(folder: &Path) -> Result<Vec<f64>> {
    let mut file = tempfile::tempfile_in(folder)?;
    let block = [0x5a; SYNCED_BYTES];
    let mut syncs = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        file.write_all(&block)?;
        let started = Instant::now();
        file.sync_data()?;
        syncs.push(started.elapsed().as_secs_f64() * 1e6);
    }
    Ok(syncs)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn times_are_behind_a_name_that_may_hold_anything() {
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 4194560 100 200 0 0 12 30 400 5 20 0 1 0 99";
        assert_eq!(times(stat), Some((Duration::from_millis(420), Duration::from_millis(4_050))));
        assert_eq!(times("7 (a) S 1 2 3"), None);
    }

    /// Processor time of a shell that runs `script`, its own and with what is below it, once it has said a line.
    fn spent_by(script: &str) -> (Duration, Duration) {
        let mut shell = Command::new("sh");
        let mut shell = shell.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        shell.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        let spent = (cpu_time_exact(shell.id()), cpu_time_of_all(shell.id()));
        drop(shell.stdin.take());
        shell.wait().unwrap();
        spent
    }

    #[test]
    fn time_of_a_process_holds_that_of_those_below_it() {
        let busy = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
        let (own, all) = spent_by(&format!("({busy}); echo; read _"));
        assert!(all > own, "{own:?} of {all:?}, of which a child spent some that has ended");
        let (own, all) = spent_by(&format!("sh -c '{busy}; echo; exec sleep 1000' & read _; kill $!"));
        assert!(all > own, "{own:?} of {all:?}, of which a child spent some that runs");
        let (own, all) = spent_by(&format!("{busy}; echo; read _"));
        assert!(own > Duration::ZERO && all >= own, "{own:?} of {all:?}");
    }
}
