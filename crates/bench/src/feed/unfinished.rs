//! Memory of log-ins that never come to an end: of people whom nobody knows yet.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use super::report::{Goal, Row};
use super::serve::Server;
use super::{Bench, BenchError, Result, machine};

/// Connections with a log-in each.
const LOG_INS: usize = 300;
/// Bytes of its body: of the largest that is taken, and of one that is not.
const BODIES: [usize; 2] = [16 << 10, 1 << 20];
/// Goal.
const MEMORY_MIB_MAX: f64 = 32.0;
/// Longest wait for one answer.
const ANSWER_MAX: Duration = Duration::from_secs(60);
const MIB: f64 = 1_048_576.0;

/// Rows of the most memory that the server had at once for them.
pub fn run(bench: &mut Bench) -> Result<()> {
    for bytes in BODIES {
        bench.say(&format!("memory: {LOG_INS} log-ins of {bytes} bytes"));
        let folder = bench.folder()?;
        let server = Server::start(folder.path(), None, &[])?;
        // Whatever it does at its first request is not what is measured.
        answer(&mut log_in(&server, 64)?)?;
        let process = server.process.id();
        machine::forget_peak_of(process)?;
        let before = machine::peak_bytes_of(process);
        let mut connections = (0..LOG_INS).map(|_| log_in(&server, bytes)).collect::<Result<Vec<_>>>()?;
        // The last byte of each: they have all been on their way by the time the first answer is there.
        for connection in &mut connections {
            answer(connection)?;
        }
        let taken = machine::peak_bytes_of(process).saturating_sub(before) as f64 / MIB;
        let name = format!("memory of {LOG_INS} unfinished log-ins of {} KiB, at most", bytes >> 10);
        bench.report.add(Row::new(name, taken, "MiB").goal(Goal::at_most(MEMORY_MIB_MAX)));
    }
    Ok(())
}

/// A log-in that lacks its last byte.
fn log_in(server: &Server, bytes: usize) -> Result<TcpStream> {
    let mut body = br#"{"handle": "nobody", "password": "correct horse"}"#.to_vec();
    body.resize(bytes - 1, b' ');
    let mut connection = TcpStream::connect(server.address)?;
    connection.set_read_timeout(Some(ANSWER_MAX))?;
    let head =
        "POST /v1/sessions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nconnection: close\r\n";
    write!(connection, "{head}content-length: {bytes}\r\n\r\n")?;
    connection.write_all(&body)?;
    Ok(connection)
}

/// Finishes a log-in; whatever it is answered is fine, as long as it is.
fn answer(connection: &mut TcpStream) -> Result<()> {
    connection.write_all(b" ")?;
    let mut start = [0; 9];
    connection.read_exact(&mut start)?;
    if start.starts_with(b"HTTP/1.1 ") {
        Ok(())
    } else {
        Err(BenchError::Wrong("a log-in was not answered".to_owned()))
    }
}
