//! nginx serving one static file, or redirecting: the fastest that these bytes can come over HTTP without thinking.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::child::ChildProcess;
use super::{BenchError, Result};

/// Name of the file that is served.
pub const FILE: &str = "feed.json";

/// A running nginx with its folder.
pub struct Nginx {
    /// Address that it listens on.
    pub address: SocketAddr,
    /// Version, as it calls itself.
    pub version: String,
    process: ChildProcess,
    _folder: TempDir,
}

impl Nginx {
    /// Starts `program` in `folder` with `body` as its only file.
    pub fn start(program: &Path, folder: TempDir, body: &[u8]) -> Result<Self> {
        fs::write(folder.path().join(FILE), body)?;
        Self::start_as(program, folder, "access_log off;", "")
    }

    /// Starts `program` in `folder`; every path is a redirect to `target`. With `is_logged` each request is written to
    /// the access log, at once.
    pub fn redirecting(program: &Path, folder: TempDir, target: &str, is_logged: bool) -> Result<Self> {
        let log = if is_logged { "access_log access.log combined;" } else { "access_log off;" };
        Self::start_as(program, folder, log, &format!("location / {{ return 302 {target}; }}"))
    }

    fn start_as(program: &Path, folder: TempDir, log: &str, location: &str) -> Result<Self> {
        let root = folder.path();
        // A port that was free a moment ago.
        let address = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
        fs::write(root.join("nginx.conf"), configuration(root, address, log, location)?)?;
        let command = |arguments: &[&str]| {
            let mut command = Command::new(program);
            command.arg("-p").arg(root).args(["-e", "stderr", "-c", "nginx.conf"]).args(arguments);
            command.stdout(Stdio::null()).stderr(Stdio::null());
            command
        };
        let process = ChildProcess::start(&mut command(&[]), Some(command(&["-s", "stop"])))?;
        process.wait_until("nginx", || TcpStream::connect(address).is_ok())?;
        let said = Command::new(program).arg("-v").output()?;
        let said = String::from_utf8_lossy(&said.stderr).into_owned();
        let version = said.trim().rsplit("nginx/").next().unwrap_or_default().to_owned();
        Ok(Self { address, version: format!("nginx {version}"), process, _folder: folder })
    }

    /// Ids of its processes.
    pub fn processes(&self) -> Vec<u32> {
        let mut all = super::machine::children_of(self.process.id());
        all.push(self.process.id());
        all
    }
}

fn configuration(root: &Path, address: SocketAddr, log: &str, location: &str) -> Result<String> {
    let path = root.to_str().ok_or_else(|| BenchError::Wrong(format!("{} is not text", root.display())))?;
    // Started by root, its workers would otherwise be somebody who may not read the folder.
    let user = if fs::metadata(root)?.uid() == 0 { "user root;" } else { "" };
    Ok(format!(
        "{user} daemon off; worker_processes auto; pid {path}/pid; error_log stderr crit;
events {{ worker_connections 1024; }}
http {{
    {log} sendfile on; tcp_nopush on; tcp_nodelay on;
    keepalive_timeout 600s; keepalive_requests 1000000000; open_file_cache max=16;
    default_type application/json;
    client_body_temp_path {path}/body; proxy_temp_path {path}/proxy; fastcgi_temp_path {path}/fastcgi;
    uwsgi_temp_path {path}/uwsgi; scgi_temp_path {path}/scgi;
    server {{ listen {address}; root {path}; {location} }}
}}
"
    ))
}
