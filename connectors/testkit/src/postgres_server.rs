//! A real PostgreSQL server with a data directory of its own, for tests.
//!
//! The server is the child of a small shell, which reads from a pipe that only the test process holds open. However that
//! process ends, the pipe closes, the shell wakes, stops the server and removes the directory.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::{SinkExt, stream};
use tempfile::TempDir;
use tokio_postgres::{NoTls, SimpleQueryMessage};

use crate::PostgresClient;
use crate::process::{free_port, make_certificates, run, server_owner, write_file};

const SUPERUSER: &str = "wayleave";
const PASSWORD: &str = "password";
const START_DEADLINE: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(10);
/// Another process may take the free port between our look and the server's start.
const PORT_ATTEMPTS: usize = 5;

/// `$1` the server's program, `$2` our directory, `$3` the port. A line on the pipe stops the server; the pipe's end
/// also removes the directory.
const KEEPER: &str = r#"
trap '' INT TERM HUP
cd "$2" || exit 1
"$1" -D "$2/data" -p "$3" </dev/null >>"$2/log" 2>&1 &
server=$!
if read -r line; then keep=yes; else keep=no; fi
kill -QUIT "$server" 2>/dev/null
wait "$server"
if [ "$keep" = no ]; then cd /; rm -rf "$2"; fi
"#;

/// Whether the server offers encryption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encryption {
    Off,
    On,
}

/// A running server; dropping it stops it at once and removes its data.
#[derive(Debug)]
pub struct PostgresServer {
    programs: PathBuf,
    owner: Option<(u32, u32)>,
    directory: TempDir,
    port: u16,
    encryption: Encryption,
    keeper: Option<Keeper>,
}

#[derive(Debug)]
struct Keeper {
    shell: Child,
    pipe: ChildStdin,
}

impl PostgresServer {
    /// Starts a server without TLS. It blocks for the second or two that `initdb` takes.
    ///
    /// # Errors
    /// No PostgreSQL programs under `/usr/lib/postgresql`, or a server that does not start; with the end of its log.
    pub fn start() -> Result<Self, String> {
        Self::start_server(Encryption::Off)
    }

    /// Starts a server that takes both plain and encrypted connections; [`PostgresServer::ca_file`] signed its
    /// certificate, which is made out to `localhost` and `127.0.0.1`.
    ///
    /// # Errors
    /// As [`PostgresServer::start`], and where there is no `openssl` program.
    pub fn start_with_tls() -> Result<Self, String> {
        Self::start_server(Encryption::On)
    }

    fn start_server(encryption: Encryption) -> Result<Self, String> {
        let programs = newest_programs()?;
        let directory = tempfile::Builder::new()
            .prefix("wayleave-postgres-")
            .tempdir()
            .map_err(|error| format!("no temporary directory: {error}"))?;
        let owner = server_owner(directory.path(), &["postgres"])?;
        let mut server = Self { programs, owner, directory, port: 0, encryption, keeper: None };
        server.initialise()?;
        let mut failure = String::new();
        for _ in 0..PORT_ATTEMPTS {
            server.port = free_port()?;
            match server.launch() {
                Ok(()) => return Ok(server),
                Err(error) => failure = error,
            }
            if !failure.contains("could not bind") {
                break;
            }
        }
        Err(failure)
    }

    /// `postgres://wayleave:password@127.0.0.1:<port>/<database>`; the user is the superuser.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{SUPERUSER}:{PASSWORD}@127.0.0.1:{}/{database}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The certificate of the authority that signed the server's; it exists where the server was started with TLS.
    pub fn ca_file(&self) -> PathBuf {
        self.directory.path().join("ca.crt")
    }

    /// What the server has logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// Runs statements as the superuser, on a connection of their own.
    ///
    /// # Errors
    /// The server's refusal, in its own words.
    pub async fn execute(&self, database: &str, sql: &str) -> Result<(), String> {
        let (client, connection) = tokio_postgres::connect(&self.url(database), NoTls).await.map_err(text_of)?;
        let driver = tokio::spawn(connection);
        let outcome = client.batch_execute(sql).await.map_err(text_of);
        drop(client);
        // The connection's own end adds nothing to what the statement said.
        let _ended = driver.await;
        outcome
    }

    /// Every row of a query's answer, each value in PostgreSQL's own text, NULL as `None`.
    ///
    /// # Errors
    /// The server's refusal, in its own words.
    pub async fn query_rows(&self, database: &str, sql: &str) -> Result<Vec<Vec<Option<String>>>, String> {
        let (client, connection) = tokio_postgres::connect(&self.url(database), NoTls).await.map_err(text_of)?;
        let driver = tokio::spawn(connection);
        let outcome = client.simple_query(sql).await.map_err(text_of);
        drop(client);
        let _ended = driver.await;
        let rows = outcome?.into_iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => {
                Some((0..row.len()).map(|column| row.get(column).map(str::to_owned)).collect())
            }
            _ => None,
        });
        Ok(rows.collect())
    }

    /// Runs a `COPY … FROM STDIN` over these pieces of its input.
    ///
    /// # Errors
    /// The server's refusal, in its own words.
    pub async fn copy_in(
        &self,
        database: &str,
        copy: &str,
        input: impl Iterator<Item = Vec<u8>>,
    ) -> Result<(), String> {
        let (client, connection) = tokio_postgres::connect(&self.url(database), NoTls).await.map_err(text_of)?;
        let driver = tokio::spawn(connection);
        let outcome = async {
            let mut sink = Box::pin(client.copy_in(copy).await?);
            sink.send_all(&mut stream::iter(input.map(|piece| Ok(Bytes::from(piece))))).await?;
            sink.as_mut().finish().await
        };
        let outcome = outcome.await.map(|_rows| ()).map_err(text_of);
        drop(client);
        let _ended = driver.await;
        outcome
    }

    /// The first column of the first row, as text; `None` where there is no row or the value is NULL.
    ///
    /// # Errors
    /// The server's refusal, in its own words.
    pub async fn query_text(&self, database: &str, sql: &str) -> Result<Option<String>, String> {
        let (client, connection) = tokio_postgres::connect(&self.url(database), NoTls).await.map_err(text_of)?;
        let driver = tokio::spawn(connection);
        let outcome = client.simple_query(sql).await.map_err(text_of);
        drop(client);
        let _ended = driver.await;
        let first_row = outcome?.into_iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        Ok(first_row.and_then(|row| row.get(0).map(str::to_owned)))
    }

    /// A connection as the superuser that stays open.
    ///
    /// # Errors
    /// The server's refusal, in its own words.
    pub async fn connect(&self, database: &str) -> Result<PostgresClient, String> {
        let (client, connection) = tokio_postgres::connect(&self.url(database), NoTls).await.map_err(text_of)?;
        Ok(PostgresClient { client, driver: tokio::spawn(connection) })
    }

    /// # Errors
    /// The server's refusal: above all, a database of that name exists.
    pub async fn create_database(&self, name: &str) -> Result<(), String> {
        self.execute("postgres", &format!("CREATE DATABASE \"{}\"", name.replace('"', "\"\""))).await
    }

    /// Stops the server at once, as a crash would; its data stays.
    pub fn stop(&mut self) {
        if let Some(mut keeper) = self.keeper.take() {
            // A pipe that is closed already tells the same.
            let _told = keeper.pipe.write_all(b"stop\n");
            let _reaped = keeper.shell.wait();
        }
    }

    /// Starts a stopped server again, on the same port and data.
    ///
    /// # Errors
    /// As [`PostgresServer::start`].
    pub fn start_again(&mut self) -> Result<(), String> {
        self.stop();
        self.launch()
    }

    fn initialise(&self) -> Result<(), String> {
        let root = self.directory.path();
        let password_file = root.join("superuser-password");
        write_file(&password_file, PASSWORD, self.owner)?;
        let mut initdb = self.command(&self.programs.join("initdb"));
        initdb
            .arg("-D")
            .arg(root.join("data"))
            .args(["--username", SUPERUSER, "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync"])
            .args(["--auth-host", "scram-sha-256", "--auth-local", "trust", "--pwfile"])
            .arg(&password_file);
        run(initdb)?;
        if self.encryption == Encryption::On {
            make_certificates(self.directory.path(), self.owner)?;
        }
        let mut settings = String::from(
            "listen_addresses = '127.0.0.1'\nmax_connections = 100\nfsync = off\n\
             full_page_writes = off\nlog_statement = none\nlogging_collector = off\n",
        );
        let quoted = root.display().to_string().replace('\'', "''");
        let mut add = |line: String| writeln!(settings, "{line}").map_err(|error| error.to_string());
        add(format!("unix_socket_directories = '{quoted}'"))?;
        if self.encryption == Encryption::On {
            add("ssl = on".to_owned())?;
            add(format!("ssl_cert_file = '{quoted}/server.crt'"))?;
            add(format!("ssl_key_file = '{quoted}/server.key'"))?;
        }
        let path = root.join("data/postgresql.auto.conf");
        write_file(&path, &settings, self.owner)
    }

    fn launch(&mut self) -> Result<(), String> {
        // A crash leaves it behind, and what it says of an earlier start must not be taken for this one's.
        let _removed = fs::remove_file(self.pid_file());
        let _emptied = fs::write(self.directory.path().join("log"), "");
        if let Some((user, group)) = self.owner {
            chown(self.directory.path().join("log"), Some(user), Some(group)).map_err(|error| error.to_string())?;
        }
        let mut command = self.command(Path::new("sh"));
        command.arg("-c").arg(KEEPER).arg("sh").arg(self.programs.join("postgres")).arg(self.directory.path());
        // A group of its own, so that Ctrl-C in the terminal reaches the test process first.
        command.arg(self.port.to_string()).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut shell = command.spawn().map_err(|error| format!("`sh` cannot be started: {error}"))?;
        let pipe = shell.stdin.take().ok_or("`sh` has no input")?;
        self.keeper = Some(Keeper { shell, pipe });
        let deadline = Instant::now() + START_DEADLINE;
        while Instant::now() < deadline {
            if self.is_ready() {
                return Ok(());
            }
            let log = self.log();
            if log.contains("FATAL") || log.contains("could not bind") {
                self.stop();
                return Err(format!("PostgreSQL did not start:\n{log}"));
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        self.stop();
        Err(format!("PostgreSQL did not start within {START_DEADLINE:?}:\n{}", self.log()))
    }

    /// The eighth line of `postmaster.pid` is the server's own word on its state.
    fn is_ready(&self) -> bool {
        let file = fs::read_to_string(self.pid_file()).unwrap_or_default();
        file.lines().nth(7).is_some_and(|state| state.trim() == "ready")
    }

    fn pid_file(&self) -> PathBuf {
        self.directory.path().join("data/postmaster.pid")
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.directory.path()).env("LC_ALL", "C.UTF-8").env_remove("PGDATA").env_remove("PGPORT");
        if let Some((user, group)) = self.owner {
            command.uid(user).gid(group);
        }
        command
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        if let Some(Keeper { mut shell, pipe }) = self.keeper.take() {
            drop(pipe);
            let _reaped = shell.wait();
        }
    }
}

fn newest_programs() -> Result<PathBuf, String> {
    const ROOT: &str = "/usr/lib/postgresql";
    let entries = fs::read_dir(ROOT).map_err(|error| format!("no PostgreSQL server under `{ROOT}`: {error}"))?;
    entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let version: u32 = entry.file_name().to_str()?.parse().ok()?;
            let programs = entry.path().join("bin");
            programs.join("initdb").exists().then_some((version, programs))
        })
        .max()
        .map(|(_, programs)| programs)
        .ok_or_else(|| format!("no PostgreSQL server under `{ROOT}`"))
}

pub(crate) fn text_of(error: tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(|| error.to_string(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_server_starts_restarts_with_its_data_and_leaves_nothing_behind() {
        let mut server = PostgresServer::start().unwrap();
        server.create_database("agency").await.unwrap();
        server.execute("agency", "CREATE TABLE kept (n int); INSERT INTO kept VALUES (7)").await.unwrap();
        server.stop();
        assert!(server.execute("agency", "SELECT 1").await.is_err());
        server.start_again().unwrap();
        server
            .copy_in("agency", "COPY kept FROM STDIN", [b"8\n".to_vec(), b"\\N\n".to_vec()].into_iter())
            .await
            .unwrap();
        let rows = server.query_rows("agency", "SELECT n FROM kept ORDER BY n DESC NULLS LAST").await.unwrap();
        assert_eq!(rows, [[Some("8".to_owned())], [Some("7".to_owned())], [None]]);
        assert!(server.copy_in("agency", "COPY kept FROM STDIN", [b"nine\n".to_vec()].into_iter()).await.is_err());
        assert_eq!(server.query_text("agency", "SELECT n FROM kept").await.unwrap().as_deref(), Some("7"));
        let directory = server.directory.path().to_owned();
        drop(server);
        assert!(!directory.exists());
    }

    #[tokio::test]
    async fn the_death_of_the_test_process_takes_the_server_with_it() {
        let mut server = PostgresServer::start().unwrap();
        let directory = server.directory.path().to_owned();
        let port = server.port;
        // The kernel closes our end of the pipe when we die; closing it here is the same to the shell.
        let Keeper { mut shell, pipe } = server.keeper.take().unwrap();
        drop(pipe);
        shell.wait().unwrap();
        assert!(!directory.exists());
        assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
    }

    #[tokio::test]
    async fn a_server_with_tls_has_an_authority_to_trust() {
        let server = PostgresServer::start_with_tls().unwrap();
        assert!(fs::read_to_string(server.ca_file()).unwrap().contains("BEGIN CERTIFICATE"));
        assert_eq!(server.query_text("postgres", "SHOW ssl").await.unwrap().as_deref(), Some("on"));
    }
}
