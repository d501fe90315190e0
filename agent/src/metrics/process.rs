//! What the kernel says of this process, by the names that Prometheus' client libraries give it.

use std::fs;

use tokio::runtime::Handle;

use super::families::sample;

/// Of `utime`, `stime` and `starttime` in proc(5): `USER_HZ`, the same on every kind of processor.
const TICKS_PER_SECOND: f64 = 100.0;

/// Writes down what there is; where `/proc` cannot be read, that is less.
pub(super) fn encode(text: &mut String) {
    let stat = read("/proc/self/stat");
    // The name in parentheses may hold anything.
    let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
    let fields: Vec<_> = fields.split(' ').collect();
    // By their numbers in proc(5); the third comes first.
    let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
    let status = read("/proc/self/status");
    let kilobytes = |key| {
        let rest = line(&status, key)?;
        rest.trim().trim_end_matches(" kB").parse::<f64>().ok()
    };
    let bytes = |key| Some(kilobytes(key)? * 1024.0);
    let limits = read("/proc/self/limits");
    let most = line(&limits, "Max open files")
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    // One of them is for this look.
    let open = fs::read_dir("/proc/self/fd").map(|open| open.count().saturating_sub(1) as f64);
    let booted = line(&read("/proc/stat"), "btime ").and_then(|rest| rest.parse::<f64>().ok());
    let seconds = |number| Some(field(number)? / TICKS_PER_SECOND);
    let samples = [
        (
            "cpu_seconds_total",
            "Processor time, user and system.",
            seconds(14)
                .zip(seconds(15))
                .map(|(user, system)| user + system),
        ),
        ("max_fds", "Most file descriptors that may be open.", most),
        ("open_fds", "Open file descriptors.", open.ok()),
        ("resident_memory_bytes", "Resident memory.", bytes("VmRSS:")),
        (
            "start_time_seconds",
            "Start of the process, since 1970.",
            booted
                .zip(seconds(22))
                .map(|(booted, after)| booted + after),
        ),
        ("threads", "Threads.", field(20)),
        ("virtual_memory_bytes", "Virtual memory.", bytes("VmSize:")),
    ];
    if let Ok(runtime) = Handle::try_current() {
        let tasks = runtime.metrics().num_alive_tasks() as f64;
        sample(
            text,
            "regprobe_tasks",
            "Tasks of the agent.",
            "gauge",
            tasks,
        );
    }
    for (name, help, value) in samples {
        let kind = match name.ends_with("_total") {
            true => "counter",
            false => "gauge",
        };
        if let Some(value) = value {
            sample(text, &format!("process_{name}"), help, kind, value);
        }
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// What follows `key` in its line.
fn line<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_there() {
        let mut text = String::new();
        encode(&mut text);
        let samples: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(samples.len(), 7, "{text}");
        let value = |name: &str| line(&text, &format!("\n{name} ")[1..]).unwrap();
        let started: f64 = value("process_start_time_seconds").parse().unwrap();
        assert!(started > 1.7e9, "{text}");
        assert!(
            value("process_resident_memory_bytes")
                .parse::<f64>()
                .unwrap()
                > 1e6
        );
    }
}
