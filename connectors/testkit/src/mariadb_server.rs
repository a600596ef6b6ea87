//! A real MariaDB server with a data directory of its own, for tests.
//!
//! As with [`PostgresServer`](crate::PostgresServer), the server is the child of a small shell, which reads from a pipe that
//! only the test process holds open: however that process ends, the shell stops the server and removes the directory.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use mysql_async::{Conn, OptsBuilder, Row};
use tempfile::TempDir;

use crate::MariadbClient;
use crate::process::{Owner, free_port, make_certificates, run, server_owner, write_file};

const USER: &str = "wayleave";
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
"$1" --defaults-file="$2/my.cnf" --port="$3" </dev/null >>"$2/log" 2>&1 &
server=$!
if read -r line; then keep=yes; else keep=no; fi
kill -KILL "$server" 2>/dev/null
wait "$server" 2>/dev/null
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
pub struct MariadbServer {
    owner: Owner,
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

impl MariadbServer {
    /// Starts a server without TLS. It blocks for the seconds that `mariadb-install-db` takes.
    ///
    /// # Errors
    /// No MariaDB programs, or a server that does not start; with the end of its log.
    pub fn start() -> Result<Self, String> {
        Self::start_server(Encryption::Off)
    }

    /// Starts a server that takes both plain and encrypted connections; [`MariadbServer::ca_file`] signed its certificate,
    /// which is made out to `localhost` and `127.0.0.1`.
    ///
    /// # Errors
    /// As [`MariadbServer::start`], and where there is no `openssl` program.
    pub fn start_with_tls() -> Result<Self, String> {
        Self::start_server(Encryption::On)
    }

    fn start_server(encryption: Encryption) -> Result<Self, String> {
        let directory = tempfile::Builder::new()
            .prefix("wayleave-mariadb-")
            .tempdir()
            .map_err(|error| format!("no temporary directory: {error}"))?;
        // Debian makes the user `mysql` with the package that also starts a service.
        let owner = server_owner(directory.path(), &["mysql", "nobody"])?;
        let mut server = Self { owner, directory, port: 0, encryption, keeper: None };
        server.initialise()?;
        let mut failure = String::new();
        for _ in 0..PORT_ATTEMPTS {
            server.port = free_port()?;
            match server.launch() {
                Ok(()) => return Ok(server),
                Err(error) => failure = error,
            }
            if !failure.contains("Bind on TCP/IP port") {
                break;
            }
        }
        Err(failure)
    }

    /// `mysql://wayleave:password@127.0.0.1:<port>/<database>`; the user may do everything.
    pub fn url(&self, database: &str) -> String {
        format!("mysql://{USER}:{PASSWORD}@127.0.0.1:{}/{database}", self.port)
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

    /// Runs statements, separated by semicolons, on a connection of their own.
    ///
    /// # Errors
    /// The server's refusal, in its own words.
    pub async fn execute(&self, database: &str, sql: &str) -> Result<(), String> {
        let client = self.connect(database).await?;
        client.execute(sql).await
    }

    /// Every row of a query's answer, each value in MariaDB's own text, NULL as `None`.
    ///
    /// # Errors
    /// The server's refusal, in its own words.
    pub async fn query_rows(&self, database: &str, sql: &str) -> Result<Vec<Vec<Option<String>>>, String> {
        let client = self.connect(database).await?;
        client.rows(sql).await
    }

    /// The first column of the first row, as text; `None` where there is no row or the value is NULL.
    ///
    /// # Errors
    /// The server's refusal, in its own words.
    pub async fn query_text(&self, database: &str, sql: &str) -> Result<Option<String>, String> {
        let rows = self.query_rows(database, sql).await?;
        Ok(rows.into_iter().next().and_then(|row| row.into_iter().next().flatten()))
    }

    /// A connection that stays open.
    ///
    /// # Errors
    /// The server's refusal, in its own words.
    pub async fn connect(&self, database: &str) -> Result<MariadbClient, String> {
        let options = OptsBuilder::default()
            .ip_or_hostname("127.0.0.1")
            .tcp_port(self.port)
            .user(Some(USER))
            .pass(Some(PASSWORD))
            .db_name((!database.is_empty()).then_some(database))
            .prefer_socket(false);
        let connection = Conn::new(options).await.map_err(|error| error.to_string())?;
        Ok(MariadbClient::new(connection))
    }

    /// # Errors
    /// The server's refusal: above all, a database of that name exists.
    pub async fn create_database(&self, name: &str) -> Result<(), String> {
        self.execute("", &format!("CREATE DATABASE `{}`", name.replace('`', "``"))).await
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
    /// As [`MariadbServer::start`].
    pub fn start_again(&mut self) -> Result<(), String> {
        self.stop();
        self.launch()
    }

    fn initialise(&self) -> Result<(), String> {
        let root = self.directory.path();
        let shown = root.display();
        if self.encryption == Encryption::On {
            make_certificates(root, self.owner)?;
        }
        let encryption = match self.encryption {
            Encryption::On => {
                format!("ssl-ca={shown}/ca.crt\nssl-cert={shown}/server.crt\nssl-key={shown}/server.key\n")
            }
            Encryption::Off => "skip-ssl\n".to_owned(),
        };
        let users = format!(
            "CREATE USER IF NOT EXISTS {USER}@'%' IDENTIFIED BY '{PASSWORD}';\n\
             GRANT ALL PRIVILEGES ON *.* TO {USER}@'%' WITH GRANT OPTION;\n"
        );
        write_file(&root.join("users.sql"), &users, self.owner)?;
        let settings = format!(
            "[mariadbd]\ndatadir={shown}/data\nsocket={shown}/socket\npid-file={shown}/pid\ntmpdir={shown}\nbind-address=127.0.0.1,127.0.0.2\n\
             init-file={shown}/users.sql\nskip-name-resolve\nskip-log-bin\nskip-networking=0\n\
             innodb-flush-log-at-trx-commit=2\ninnodb-doublewrite=0\ninnodb-log-file-size=8M\n\
             character-set-server=utf8mb4\n{encryption}"
        );
        write_file(&root.join("my.cnf"), &settings, self.owner)?;
        let mut install = self.command(Path::new("mariadb-install-db"));
        install.arg("--no-defaults").arg(format!("--datadir={shown}/data")).args([
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            "--innodb-log-file-size=8M",
        ]);
        run(install)
    }

    fn launch(&mut self) -> Result<(), String> {
        // What it says of an earlier start must not be taken for this one's.
        let _emptied = fs::write(self.directory.path().join("log"), "");
        if let Some((user, group)) = self.owner {
            chown(self.directory.path().join("log"), Some(user), Some(group)).map_err(|error| error.to_string())?;
        }
        let mut command = self.command(Path::new("sh"));
        command.arg("-c").arg(KEEPER).arg("sh").arg(program()?).arg(self.directory.path());
        // A group of its own, so that Ctrl-C in the terminal reaches the test process first.
        command.arg(self.port.to_string()).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut shell = command.spawn().map_err(|error| format!("`sh` cannot be started: {error}"))?;
        let pipe = shell.stdin.take().ok_or("`sh` has no input")?;
        self.keeper = Some(Keeper { shell, pipe });
        let deadline = Instant::now() + START_DEADLINE;
        while Instant::now() < deadline {
            let log = self.log();
            if log.contains("ready for connections") {
                return Ok(());
            }
            if log.contains("[ERROR] Aborting") || log.contains("Bind on TCP/IP port") {
                self.stop();
                return Err(format!("MariaDB did not start:\n{log}"));
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        self.stop();
        Err(format!("MariaDB did not start within {START_DEADLINE:?}:\n{}", self.log()))
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        let root = self.directory.path();
        // Two servers that are being made use the same names for their temporary tables.
        command.current_dir(root).env("TMPDIR", root).env("LC_ALL", "C.UTF-8").env_remove("MYSQL_HOME");
        if let Some((user, group)) = self.owner {
            command.uid(user).gid(group);
        }
        command
    }
}

impl Drop for MariadbServer {
    fn drop(&mut self) {
        if let Some(Keeper { mut shell, pipe }) = self.keeper.take() {
            drop(pipe);
            let _reaped = shell.wait();
        }
    }
}

/// Who is no administrator has no `/usr/sbin` in the path.
fn program() -> Result<PathBuf, String> {
    ["/usr/sbin/mariadbd", "/usr/local/sbin/mariadbd", "/usr/bin/mariadbd"]
        .iter()
        .map(PathBuf::from)
        .find(|program| program.exists())
        .ok_or_else(|| "there is no MariaDB server (`/usr/sbin/mariadbd`)".to_owned())
}

pub(crate) fn text_of_row(row: Row) -> Vec<Option<String>> {
    row.unwrap_raw()
        .into_iter()
        .map(|value| match value? {
            mysql_async::Value::NULL => None,
            mysql_async::Value::Bytes(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
            other => Some(other.as_sql(true)),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_server_starts_restarts_with_its_data_and_leaves_nothing_behind() {
        let mut server = MariadbServer::start().unwrap();
        server.create_database("agency").await.unwrap();
        server.execute("agency", "CREATE TABLE kept (n int); INSERT INTO kept VALUES (7), (NULL)").await.unwrap();
        server.stop();
        assert!(server.execute("agency", "SELECT 1").await.is_err());
        server.start_again().unwrap();
        let rows = server.query_rows("agency", "SELECT n FROM kept ORDER BY n").await.unwrap();
        assert_eq!(rows, [[None], [Some("7".to_owned())]]);
        assert!(server.execute("agency", "SELECT 1; SELECT nothing").await.is_err());
        assert_eq!(server.query_text("agency", "SELECT n FROM kept WHERE n > 1").await.unwrap().as_deref(), Some("7"));
        let directory = server.directory.path().to_owned();
        drop(server);
        assert!(!directory.exists());
    }

    #[tokio::test]
    async fn the_death_of_the_test_process_takes_the_server_with_it() {
        let mut server = MariadbServer::start_with_tls().unwrap();
        assert!(fs::read_to_string(server.ca_file()).unwrap().contains("BEGIN CERTIFICATE"));
        assert_eq!(server.query_text("", "SELECT @@have_ssl").await.unwrap().as_deref(), Some("YES"));
        let directory = server.directory.path().to_owned();
        let port = server.port;
        // The kernel closes our end of the pipe when we die; closing it here is the same to the shell.
        let Keeper { mut shell, pipe } = server.keeper.take().unwrap();
        drop(pipe);
        shell.wait().unwrap();
        assert!(!directory.exists());
        assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
    }
}
