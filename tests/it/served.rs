//! A world behind the endpoint of PostgreSQL's protocol.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Output;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};
use wayleave::config::{CertificateFiles, ListenerConfig, ServeConfig};
use wayleave::endpoints::pgwire::PostgresEndpoint;
use wayleave::identity::{User, Users, Verifier};
use wayleave::session::Identity;

use crate::harness::{Backend, World};

pub const PASSWORD: &str = "correct horse battery staple";

/// A world that is served.
pub struct Served {
    pub world: World,
    pub users: PathBuf,
    pub address: SocketAddr,
    pub stop: watch::Sender<bool>,
    pub serving: JoinHandle<()>,
}

impl Served {
    pub async fn new() -> Self {
        Self::with(200, None).await
    }

    pub async fn with(max_connections: usize, certificate: Option<CertificateFiles>) -> Self {
        let world = World::new(Backend::Sqlite).await;
        let users = world.directory().join("users.toml");
        write_users(&users, &["sam@torbay-asc/social-worker", "lea@torbay-mash/safeguarding-lead"]);
        let listen = "127.0.0.1:0".parse().unwrap();
        let config =
            ServeConfig { users: users.clone(), postgres: ListenerConfig { listen, certificate, max_connections } };
        let endpoint = PostgresEndpoint::open(world.engine.clone(), &config).await.unwrap();
        let address = endpoint.address().unwrap();
        let (stop, stopping) = watch::channel(false);
        Self { world, users, address, stop, serving: tokio::spawn(endpoint.run(stopping)) }
    }

    pub fn settings(&self, user: &str, more: &str) -> String {
        let port = self.address.port();
        format!("host=127.0.0.1 port={port} user={user} dbname=wayleave password='{PASSWORD}' {more}")
    }

    pub async fn connect(&self, settings: &str) -> Result<Client, tokio_postgres::Error> {
        let (client, connection) = tokio_postgres::connect(settings, NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// A social worker, with the account's own purpose.
    pub async fn sam(&self) -> Client {
        self.connect(&self.settings("sam", "")).await.unwrap()
    }

    pub async fn psql(&self, settings: &str, commands: &[&str]) -> Output {
        let mut psql = tokio::process::Command::new("psql");
        psql.args(["-X", "-At", "-v", "ON_ERROR_STOP=1", "-d", settings]);
        psql.args(commands.iter().flat_map(|command| ["-c", command]));
        psql.env("LC_ALL", "C").output().await.unwrap()
    }

    pub async fn records(&self, kind: &str) -> Vec<serde_json::Value> {
        self.world.engine.flush_audit().await.unwrap();
        let log = std::fs::read_to_string(self.world.audit_directory().join("audit.jsonl")).unwrap();
        let bodies = log.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["body"].take());
        bodies.filter(|body| body["kind"] == kind).collect()
    }
}

pub fn write_users(file: &Path, who: &[&str]) {
    let mut users = Users::none().unwrap();
    for text in who {
        let identity = Identity::parse(text).unwrap();
        let purpose = (identity.user == "sam").then(|| "joint-needs-assessment".to_owned());
        let name = identity.user.clone();
        users.put(&name, User { identity, purpose, verifier: Verifier::of_password(PASSWORD).unwrap() });
    }
    std::fs::write(file, users.text()).unwrap();
}

pub fn told(error: &tokio_postgres::Error) -> (String, String, String) {
    let error = error.as_db_error().unwrap_or_else(|| panic!("{error}"));
    (error.code().code().to_owned(), error.message().to_owned(), error.hint().unwrap_or_default().to_owned())
}

pub fn rows_of(messages: &[SimpleQueryMessage]) -> Vec<Vec<String>> {
    let rows = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    rows.map(|row| (0..row.len()).map(|at| row.get(at).unwrap_or("NULL").to_owned()).collect()).collect()
}
