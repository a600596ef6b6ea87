//! The server itself: it listens, logs in, and runs each connection.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::thread;

use tempfile::TempDir;
use tokio::io::{AsyncWriteExt, split};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};

use crate::catalog::{Catalog, invalid_object};
use crate::certificate::{self, Identity};
use crate::collation::Collation;
use crate::error::SqlError;
use crate::faults::{Faults, PacketSplit};
use crate::log::{Log, LogEntry, LoginEntry, RequestKind};
use crate::login::Login;
use crate::options::Options;
use crate::packet::{self, Message, PacketWriter, Split};
use crate::prelogin::{Agreed, ClientPrelogin};
use crate::response::{Output, Response, Signals, Stop};
use crate::session::{Session, Shared};
use crate::system_views::SessionEntry;
use crate::token::{self, EnvironmentChange};
use crate::transport::{HandshakeStream, Transport};

/// A running server; dropping it ends its connections and removes its data.
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
    address: SocketAddr,
    identity: Arc<Identity>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
    _directory: TempDir,
}

impl Server {
    /// Starts a server with a database of its own.
    ///
    /// # Errors
    /// No temporary directory, no `openssl` program, a port that is taken.
    pub fn start(options: Options) -> Result<Self, String> {
        let directory = tempfile::Builder::new()
            .prefix("wayleave-tds-")
            .tempdir()
            .map_err(|error| format!("no temporary directory: {error}"))?;
        let identity = Arc::new(certificate::make(directory.path())?);
        let database_file = directory.path().join("database.sqlite");
        let database = rusqlite::Connection::open(&database_file).map_err(|error| error.to_string())?;
        database.execute_batch("PRAGMA journal_mode=WAL; PRAGMA user_version=1;").map_err(|error| error.to_string())?;
        let port = options.port;
        let shared = Arc::new(Shared {
            options,
            catalog: RwLock::new(Catalog::new()),
            database_file,
            faults: Faults::default(),
            log: Log::default(),
            sessions: Mutex::new(Vec::new()),
            transactions: AtomicU64::new(0x0100),
        });
        let (stop, stopped) = oneshot::channel();
        let (ready, started) = std::sync::mpsc::channel();
        let (owned, keys) = (Arc::clone(&shared), Arc::clone(&identity));
        let thread = thread::spawn(move || {
            let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => {
                    let _sent = ready.send(Err(error.to_string()));
                    return;
                }
            };
            runtime.block_on(async move {
                match TcpListener::bind(("127.0.0.1", port))
                    .await
                    .and_then(|listener| Ok((listener.local_addr()?, listener)))
                {
                    Ok((address, listener)) => {
                        let _sent = ready.send(Ok(address));
                        tokio::select! {
                            () = accept(listener, owned, keys) => {}
                            _ = stopped => {}
                        }
                    }
                    Err(error) => {
                        let _sent = ready.send(Err(error.to_string()));
                    }
                }
            });
            runtime.shutdown_background();
        });
        let address = started.recv().map_err(|error| error.to_string())??;
        Ok(Self { shared, address, identity, stop: Some(stop), thread: Some(thread), _directory: directory })
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// `mssql://<user>:<password>@127.0.0.1:<port>/<database>` of the first user, the password percent-encoded.
    pub fn url(&self) -> String {
        let (user, password) = self.shared.options.users.first().cloned().unwrap_or_default();
        let encoded: String = password
            .bytes()
            .map(
                |byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") },
            )
            .collect();
        format!("mssql://{user}:{encoded}@127.0.0.1:{}/{}", self.port(), self.shared.options.database)
    }

    /// The certificate of the authority that signed the server's, which is made out to `localhost` and `127.0.0.1`.
    pub fn ca_file(&self) -> PathBuf {
        self.identity.ca_file.clone()
    }

    pub fn options(&self) -> &Options {
        &self.shared.options
    }

    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    pub fn log(&self) -> &Log {
        &self.shared.log
    }

    /// Connections that are open.
    pub fn connections(&self) -> usize {
        self.shared.sessions().len()
    }

    /// Has the statistics say that a table has this many rows, as `UPDATE STATISTICS … WITH ROWCOUNT` does.
    ///
    /// # Errors
    /// There is no such table.
    pub fn tell_rows(&self, schema: &str, table: &str, rows: u32) -> Result<(), SqlError> {
        let mut catalog = self.shared.catalog_mut();
        let id = catalog.find(schema, table).ok_or_else(|| invalid_object(table))?.id;
        catalog.told_rows.insert(id, rows.into());
        Ok(())
    }

    /// Runs T-SQL in a session of its own: tables, indexes, rows.
    ///
    /// # Errors
    /// The first error, as the server would report it.
    pub fn execute_ddl(&self, sql: &str) -> Result<(), SqlError> {
        let failed = |error: String| SqlError::new(50000, 16, 1, error);
        let entry = SessionEntry {
            id: 0,
            login: "dbo".to_owned(),
            host: String::new(),
            application: "set-up".to_owned(),
            encrypted: false,
            isolation: 2,
            transactions: 0,
        };
        let response = Response::new(None, Arc::new(Signals::default()));
        let mut session = Session::open(Arc::clone(&self.shared), entry, response).map_err(failed)?;
        match session.run(sql) {
            Err(Stop::Error(error)) => Err(error),
            Err(_) => Err(failed("the session was closed".to_owned())),
            Ok(()) => session.response.errors.first().map_or(Ok(()), |error| Err(error.clone())),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.faults.clear();
        if let Some(stop) = self.stop.take() {
            let _sent = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join();
        }
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, identity: Arc<Identity>) {
    let next = Arc::new(AtomicU16::new(51));
    while let Ok((socket, _)) = listener.accept().await {
        let _set = socket.set_nodelay(true);
        let session_id = next.fetch_add(1, Ordering::SeqCst);
        let (shared, identity) = (Arc::clone(&shared), Arc::clone(&identity));
        // A connection that breaks is the client's matter.
        tokio::spawn(async move {
            let _outcome = serve(socket, session_id, shared, identity).await;
        });
    }
}

/// Removes the session's entry when the connection ends, however it does.
struct Registered {
    shared: Arc<Shared>,
    id: u16,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.shared.sessions().retain(|entry| entry.id != self.id);
    }
}

async fn serve(mut socket: TcpStream, session_id: u16, shared: Arc<Shared>, identity: Arc<Identity>) -> io::Result<()> {
    let Some(message) = packet::read_message(&mut socket).await? else { return Ok(()) };
    if message.kind != packet::PRELOGIN {
        return Err(io::Error::other("a connection starts with PRELOGIN"));
    }
    let prelogin = ClientPrelogin::parse(&message.body).map_err(|error| io::Error::other(error.0))?;
    let Some((encryption, agreed)) = prelogin.agree(shared.options.encryption) else {
        let answer = prelogin.answer(shared.options.version.bytes(), 0x03);
        socket.write_all(&packet::framed(packet::RESPONSE, 1, 0, 1, &answer)?).await?;
        return Ok(());
    };
    let answer = prelogin.answer(shared.options.version.bytes(), encryption);
    socket.write_all(&packet::framed(packet::RESPONSE, 1, 0, 1, &answer)?).await?;
    let mut transport = if agreed == Agreed::Nothing {
        Transport::Plain(socket)
    } else {
        let mut stream = identity.acceptor.accept(HandshakeStream::new(socket)).await?;
        stream.get_mut().0.open();
        Transport::Tls(Box::new(stream))
    };
    let Some(message) = packet::read_message(&mut transport).await? else { return Ok(()) };
    if message.kind != packet::LOGIN7 {
        return Err(io::Error::other("LOGIN7 was expected"));
    }
    let login = Login::parse(&message.body).map_err(|error| io::Error::other(error.0))?;
    if agreed == Agreed::LoginOnly
        && let Transport::Tls(stream) = transport
    {
        transport = Transport::Plain(stream.into_inner().0.into_socket());
    }
    let encrypted = agreed == Agreed::Everything;
    let packet_size = if login.packet_size == 0 { 4096 } else { login.packet_size.clamp(512, 32_767) };
    let payload = usize::try_from(packet_size).unwrap_or(4096) - packet::HEADER_LENGTH;
    let plain = Split { payload, write: None };
    shared.log.login(LoginEntry {
        session: session_id,
        user: login.user.clone(),
        application: login.application.clone(),
        database: login.database.clone(),
        read_only_intent: login.read_only_intent,
        encrypted,
    });
    let entry = SessionEntry {
        id: session_id,
        login: login.user.clone(),
        host: login.host.clone(),
        application: login.application.clone(),
        encrypted,
        isolation: 2,
        transactions: 0,
    };
    let mut writer = PacketWriter::new(session_id);
    let (answer, accepted) = login_answer(&login, &shared, packet_size, &entry);
    let registered = Registered { shared: Arc::clone(&shared), id: session_id };
    writer.push(&mut transport, &answer, plain).await?;
    writer.finish(&mut transport, plain).await?;
    if !accepted {
        return transport.shutdown().await;
    }
    converse(transport, writer, payload, entry, shared, registered).await
}

/// LOGINACK and what goes with it, and the session on the list; or the error of a login that is refused.
fn login_answer(login: &Login, shared: &Shared, packet_size: u32, entry: &SessionEntry) -> (Vec<u8>, bool) {
    let mut out = Vec::new();
    // Counted and added under one lock: two logins at a time cannot both be the last that is let in.
    let mut sessions = shared.sessions();
    let options = &shared.options;
    let refusal = if login.integrated {
        Some(SqlError::new(
            18452,
            14,
            1,
            "Login failed. The login is from an untrusted domain and cannot be used with Integrated authentication.",
        ))
    } else if !options
        .users
        .iter()
        .any(|(user, password)| user.eq_ignore_ascii_case(&login.user) && *password == login.password)
    {
        Some(SqlError::new(18456, 14, 1, format!("Login failed for user '{}'.", login.user)))
    } else if !login.database.is_empty()
        && !crate::catalog::same_name(&login.database, &options.database)
        && !crate::catalog::same_name(&login.database, "master")
    {
        Some(SqlError::new(
            4060,
            11,
            1,
            format!("Cannot open database \"{}\" requested by the login. The login failed.", login.database),
        ))
    } else if options.greatest_connections.is_some_and(|greatest| sessions.len() >= greatest) {
        Some(SqlError::new(
            17809,
            20,
            1,
            "Could not connect because the maximum number of user connections has already been reached.",
        ))
    } else {
        None
    };
    if let Some(error) = refusal {
        token::error(&mut out, &error, 1);
        token::done(&mut out, token::DONE, token::STATUS_ERROR, token::COMMAND_OTHER, 0);
        return (out, false);
    }
    sessions.push(entry.clone());
    drop(sessions);
    token::environment_change(&mut out, &EnvironmentChange::Database { new: &options.database, old: "master" });
    let context = format!("Changed database context to '{}'.", options.database);
    token::info(&mut out, &SqlError::new(5701, 0, 2, context));
    token::environment_change(&mut out, &EnvironmentChange::Collation(Collation::DEFAULT.wire()));
    token::environment_change(&mut out, &EnvironmentChange::Language { new: "us_english", old: "" });
    token::info(&mut out, &SqlError::new(5703, 0, 1, "Changed language setting to us_english."));
    token::login_ack(&mut out, options.version.bytes());
    token::environment_change(&mut out, &EnvironmentChange::PacketSize { new: packet_size, old: 4096 });
    if login.features.contains(&token::UTF8_SUPPORT) {
        token::feature_ext_ack(&mut out);
    }
    token::done(&mut out, token::DONE, 0, token::COMMAND_OTHER, 0);
    (out, true)
}

enum Work {
    Request(Message),
    /// An Attention came: if nobody has acknowledged it when this is read, it is done now.
    Attention,
}

/// Reads requests, lets the session's thread answer, writes what it says; all three at the same time.
async fn converse(
    transport: Transport,
    mut writer: PacketWriter,
    payload: usize,
    entry: SessionEntry,
    shared: Arc<Shared>,
    registered: Registered,
) -> io::Result<()> {
    let (mut reading, mut writing) = split(transport);
    let signals = Arc::new(Signals::default());
    let (work, mut works) = mpsc::unbounded_channel::<Work>();
    let (sender, mut outputs) = mpsc::channel::<Output>(16);
    let response = Response::new(Some(sender), Arc::clone(&signals));
    let session_id = entry.id;
    let mut session = Session::open(Arc::clone(&shared), entry, response).map_err(io::Error::other)?;
    let interrupt = session.connection.get_interrupt_handle();
    let executor = tokio::task::spawn_blocking(move || {
        while let Some(work) = works.blocking_recv() {
            let outcome = match work {
                Work::Request(message) => session.handle(&message),
                Work::Attention => session.acknowledge_waiting(),
            };
            if outcome.is_err() {
                break;
            }
        }
    });
    let faults = Arc::clone(&shared);
    let reader = async {
        let outcome = loop {
            match packet::read_message(&mut reading).await {
                Ok(Some(message)) if message.kind == packet::ATTENTION => {
                    let text = "ATTENTION".to_owned();
                    faults.log.request(LogEntry { session: session_id, kind: RequestKind::Attention, text });
                    signals.attend();
                    interrupt.interrupt();
                    faults.faults.wake();
                    if work.send(Work::Attention).is_err() {
                        break Ok(());
                    }
                }
                Ok(Some(message)) => {
                    if work.send(Work::Request(message)).is_err() {
                        break Ok(());
                    }
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        signals.close();
        interrupt.interrupt();
        faults.faults.wake();
        drop(work);
        outcome
    };
    let sending = async {
        while let Some(output) = outputs.recv().await {
            let split = match shared.faults.split() {
                PacketSplit::Whole => Split { payload, write: None },
                PacketSplit::Payload(bytes) => Split { payload: bytes.clamp(1, payload), write: None },
                PacketSplit::Writes(bytes) => Split { payload, write: Some(bytes) },
            };
            match output {
                Output::Bytes(bytes) => writer.push(&mut writing, &bytes, split).await?,
                Output::Flush => writer.flush(&mut writing, split).await?,
                Output::EndOfMessage => writer.finish(&mut writing, split).await?,
                Output::Disconnect => break,
            }
        }
        Ok::<(), io::Error>(())
    };
    // Either side's end is the connection's end.
    let outcome = tokio::select! {
        outcome = reader => outcome,
        outcome = sending => outcome,
    };
    signals.close();
    interrupt.interrupt();
    shared.faults.wake();
    drop(outputs);
    let _ended = executor.await;
    drop(registered);
    let _closed = writing.shutdown().await;
    outcome
}
