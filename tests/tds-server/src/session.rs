//! One connection's session: its database handle, its variables, its temporary tables and its transaction.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use rusqlite::types::Value;
use rusqlite::{Connection, functions::FunctionFlags};

use crate::batch::{self, Isolation, Statement};
use crate::binder::Variable;
use crate::catalog::{Catalog, Table, same_name};
use crate::collation;
use crate::error::SqlError;
use crate::faults::{Acknowledgement, Fault, Faults};
use crate::functions;
use crate::log::{Log, LogEntry, RequestKind};
use crate::options::Options;
use crate::packet::{self, Message};
use crate::reader::{Malformed, Reader};
use crate::response::{Response, Stop};
use crate::sql_type::SqlType;
use crate::system_views::SessionEntry;
use crate::token::{self, EnvironmentChange};

/// What all sessions of a server share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub options: Options,
    pub catalog: RwLock<Catalog>,
    pub database_file: std::path::PathBuf,
    pub faults: Faults,
    pub log: Log,
    pub sessions: Mutex<Vec<SessionEntry>>,
    pub transactions: AtomicU64,
}

impl Shared {
    pub fn catalog(&self) -> std::sync::RwLockReadGuard<'_, Catalog> {
        self.catalog.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn catalog_mut(&self) -> std::sync::RwLockWriteGuard<'_, Catalog> {
        self.catalog.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn sessions(&self) -> std::sync::MutexGuard<'_, Vec<SessionEntry>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What functions of SQLite ask of the session.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    pub row_count: i64,
    pub error: i64,
    pub transactions: i64,
    pub lock_timeout: i64,
}

#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    pub text: String,
    pub declarations: String,
}

#[derive(Debug)]
pub(crate) struct Session {
    pub shared: Arc<Shared>,
    pub entry: SessionEntry,
    pub connection: Connection,
    pub response: Response,
    pub temporary: Vec<Table>,
    pub variables: Vec<Variable>,
    pub values: Vec<Value>,
    pub facts: Arc<Mutex<Facts>>,
    pub isolation: Isolation,
    pub implicit_transactions: bool,
    pub no_count: bool,
    pub format_only: bool,
    /// The descriptor of the open transaction.
    pub transaction: u64,
    pub temporary_before: Vec<Table>,
    pub prepared: HashMap<i32, Prepared>,
    pub next_handle: i32,
    pub fault: Option<Fault>,
    /// Positions of the parameters that the client wants back.
    pub outputs: Vec<usize>,
    /// `sp_prepare` binds without values.
    pub describing: bool,
}

impl Session {
    pub fn open(shared: Arc<Shared>, entry: SessionEntry, response: Response) -> Result<Self, String> {
        let connection = Connection::open(&shared.database_file).map_err(|error| error.to_string())?;
        let facts = Arc::new(Mutex::new(Facts { lock_timeout: -1, ..Facts::default() }));
        let set_up = || -> rusqlite::Result<()> {
            connection.execute_batch("PRAGMA synchronous=OFF; PRAGMA temp_store=MEMORY; PRAGMA busy_timeout=10000;")?;
            collation::register(&connection)?;
            functions::register(&connection)?;
            register_session_functions(&connection, &shared, &entry, &facts)
        };
        set_up().map_err(|error| error.to_string())?;
        Ok(Self {
            shared,
            entry,
            connection,
            response,
            temporary: Vec::new(),
            variables: Vec::new(),
            values: Vec::new(),
            facts,
            isolation: Isolation::ReadCommitted,
            implicit_transactions: false,
            no_count: false,
            format_only: false,
            transaction: 0,
            temporary_before: Vec::new(),
            prepared: HashMap::new(),
            next_handle: 1,
            fault: None,
            outputs: Vec::new(),
            describing: false,
        })
    }

    pub fn with_facts<T>(&self, read: impl FnOnce(&mut Facts) -> T) -> T {
        read(&mut self.facts.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn log(&self, kind: RequestKind, text: impl Into<String>) {
        self.shared.log.request(LogEntry { session: self.entry.id, kind, text: text.into() });
    }

    /// Answers one request of the client.
    pub fn handle(&mut self, message: &Message) -> Result<(), Stop> {
        if message.resets {
            self.log(RequestKind::Reset, "sp_reset_connection");
            self.reset();
            token::environment_change(&mut self.response.buffer, &EnvironmentChange::ResetConnection);
        }
        self.response.errors.clear();
        self.response.done_token = token::DONE;
        let outcome = match message.kind {
            packet::SQL_BATCH => self.handle_batch(&message.body),
            packet::RPC => self.handle_rpc(&message.body),
            packet::TRANSACTION_MANAGER => self.handle_transaction(&message.body),
            _ => Err(Stop::Closed),
        };
        match outcome {
            Ok(()) | Err(Stop::Attention) => self.end(),
            Err(Stop::Error(error)) => {
                self.response.error(&error);
                self.response.done(token::STATUS_ERROR, token::COMMAND_OTHER, 0);
                self.end()
            }
            Err(Stop::Closed) => Err(Stop::Closed),
        }
    }

    /// Ends the response, with the acknowledgement of an Attention in the shape that is ordered.
    fn end(&mut self) -> Result<(), Stop> {
        if !self.response.signals.has_attention() {
            return self.response.finish(0);
        }
        self.response.signals.take_attention();
        match self.shared.faults.acknowledgement() {
            Acknowledgement::InResponse => {
                self.response.write_pending(token::STATUS_MORE);
                self.response.done_token = token::DONE;
                self.response.finish(token::STATUS_ATTENTION)
            }
            _ => {
                self.response.finish(0)?;
                self.acknowledge()
            }
        }
    }

    /// Acknowledges an Attention that found no response running, as a message of its own.
    pub fn acknowledge_waiting(&mut self) -> Result<(), Stop> {
        if self.response.signals.take_attention() { self.acknowledge() } else { Ok(()) }
    }

    fn acknowledge(&mut self) -> Result<(), Stop> {
        if let Acknowledgement::Late(time) = self.shared.faults.acknowledgement() {
            let signals = Arc::clone(&self.response.signals);
            self.shared.faults.pause(time, || signals.is_closed());
        }
        self.response.done_token = token::DONE;
        self.response.finish(token::STATUS_ATTENTION)
    }

    fn handle_batch(&mut self, body: &[u8]) -> Result<(), Stop> {
        let mut reader = Reader::new(body);
        reader.skip_headers().map_err(malformed)?;
        let text = crate::convert::utf16_text(reader.rest());
        self.log(RequestKind::Batch, &text);
        self.variables.clear();
        self.values.clear();
        self.run(&text)
    }

    /// Runs a batch; its errors are told as they come.
    pub fn run(&mut self, text: &str) -> Result<(), Stop> {
        self.fault = self.shared.faults.take(text);
        if let Some(Fault::Error { number, class, state, message }) = &self.fault {
            let error = SqlError::new(*number, *class, *state, message.clone());
            return Err(error.into());
        }
        let statements = batch::parse(text, self.shared.options.version)?;
        let outcome = self.run_statements(&statements);
        self.fault = None;
        outcome
    }

    pub fn run_statements(&mut self, statements: &[Statement]) -> Result<(), Stop> {
        for statement in statements {
            if self.response.signals.is_closed() {
                return Err(Stop::Closed);
            }
            if self.response.signals.has_attention() {
                return Err(Stop::Attention);
            }
            match self.execute(statement) {
                Ok(()) => self.with_facts(|facts| facts.error = 0),
                Err(Stop::Error(error)) => {
                    // SQLite was interrupted: the Attention says so, not an error.
                    if self.response.signals.has_attention() {
                        return Err(Stop::Attention);
                    }
                    self.with_facts(|facts| facts.error = i64::from(error.number));
                    if !ends_statement_only(error.number) {
                        return Err(Stop::Error(error));
                    }
                    self.response.error(&error);
                    self.response.done(token::STATUS_ERROR, token::COMMAND_OTHER, 0);
                }
                Err(stop) => return Err(stop),
            }
        }
        Ok(())
    }

    /// Back to how a connection starts: `sp_reset_connection`.
    pub fn reset(&mut self) {
        if !self.connection.is_autocommit() {
            let _outcome = self.connection.execute_batch("ROLLBACK");
        }
        self.set_transactions(0);
        self.transaction = 0;
        for table in std::mem::take(&mut self.temporary) {
            let _outcome = self.connection.execute_batch(&format!("DROP TABLE IF EXISTS {}", table.sqlite_name));
        }
        self.isolation = Isolation::ReadCommitted;
        self.implicit_transactions = false;
        self.no_count = false;
        self.format_only = false;
        self.prepared.clear();
        self.with_facts(|facts| *facts = Facts { lock_timeout: -1, ..Facts::default() });
    }

    pub fn set_transactions(&mut self, count: i64) {
        self.with_facts(|facts| facts.transactions = count);
        self.entry.transactions = count;
        self.publish();
    }

    /// Shows the session's state to those who read dm_exec_sessions.
    pub fn publish(&mut self) {
        self.entry.isolation = match self.isolation {
            Isolation::ReadUncommitted => 1,
            Isolation::ReadCommitted => 2,
            Isolation::RepeatableRead => 3,
            Isolation::Serializable => 4,
            Isolation::Snapshot => 5,
        };
        let mut sessions = self.shared.sessions();
        if let Some(entry) = sessions.iter_mut().find(|entry| entry.id == self.entry.id) {
            entry.clone_from(&self.entry);
        }
    }

    fn handle_transaction(&mut self, body: &[u8]) -> Result<(), Stop> {
        let mut reader = Reader::new(body);
        reader.skip_headers().map_err(malformed)?;
        let request = reader.u16().map_err(malformed)?;
        match request {
            5 => {
                self.log(RequestKind::TransactionManager, "BEGIN");
                match reader.u8().map_err(malformed)? {
                    1 => self.isolation = Isolation::ReadUncommitted,
                    2 => self.isolation = Isolation::ReadCommitted,
                    3 => self.isolation = Isolation::RepeatableRead,
                    4 => self.isolation = Isolation::Serializable,
                    5 => self.isolation = Isolation::Snapshot,
                    _ => {}
                }
                self.begin()?;
            }
            7 | 8 => {
                let word = if request == 7 { "COMMIT" } else { "ROLLBACK" };
                self.log(RequestKind::TransactionManager, word);
                let _name = reader.b_varchar().map_err(malformed)?;
                let again = reader.u8().unwrap_or(0) & 1 != 0;
                if request == 7 {
                    self.commit()?
                } else {
                    self.rollback()?
                }
                if again {
                    self.begin()?;
                }
            }
            _ => {
                return Err(
                    SqlError::new(50001, 16, 1, "the test server does not know this transaction request").into()
                );
            }
        }
        self.response.done(0, token::COMMAND_OTHER, 0);
        Ok(())
    }

    pub fn log_procedure(&self, parameters: usize, text: &str) {
        self.log(RequestKind::Procedure { parameters }, text);
    }
}

pub(crate) fn malformed(error: Malformed) -> Stop {
    Stop::Error(SqlError::new(
        8009,
        16,
        1,
        format!("The incoming tabular data stream (TDS) protocol stream is incorrect: {}", error.0),
    ))
}

/// Errors after which the rest of the batch still runs.
fn ends_statement_only(number: i32) -> bool {
    matches!(number, 220 | 512 | 515 | 547 | 2601 | 2627 | 2628 | 8115 | 8134)
}

fn register_session_functions(
    connection: &Connection,
    shared: &Arc<Shared>,
    entry: &SessionEntry,
    facts: &Arc<Mutex<Facts>>,
) -> rusqlite::Result<()> {
    let (owner, entry, facts) = (Arc::clone(shared), entry.clone(), Arc::clone(facts));
    connection.create_scalar_function("tds_session", 1, FunctionFlags::SQLITE_UTF8, move |ctx| {
        let what: String = ctx.get(0)?;
        let facts = facts.lock().unwrap_or_else(PoisonError::into_inner);
        let version = owner.options.version;
        let text = |text: &str| Value::Text(text.to_owned());
        Ok(match what.as_str() {
            "login" => text(&entry.login),
            "host" => text(&entry.host),
            "application" => text(&entry.application),
            "@@VERSION" => Value::Text(format!(
                "Microsoft SQL Server {} (wayleave test server) - {} (X64) on SQLite",
                version.year(),
                version.text()
            )),
            "@@SERVERNAME" | "SERVERNAME" | "MACHINENAME" => text("WAYLEAVE"),
            "@@LANGUAGE" => text("us_english"),
            "@@SERVICENAME" => text("MSSQLSERVER"),
            "@@TRANCOUNT" => Value::Integer(facts.transactions),
            "@@ROWCOUNT" => Value::Integer(facts.row_count),
            "@@ERROR" => Value::Integer(facts.error),
            "@@LOCK_TIMEOUT" => Value::Integer(facts.lock_timeout),
            "@@MAX_PRECISION" => Value::Integer(38),
            "@@OPTIONS" => Value::Integer(5496),
            "@@TEXTSIZE" => Value::Integer(i64::from(i32::MAX)),
            "@@SPID" => Value::Integer(i64::from(entry.id)),
            "@@MICROSOFTVERSION" => Value::Integer(i64::from(version.bytes()[0]) << 24),
            "@@DATEFIRST" => Value::Integer(7),
            "PRODUCTVERSION" => Value::Text(version.text()),
            "PRODUCTMAJORVERSION" => Value::Text(version.bytes()[0].to_string()),
            "PRODUCTLEVEL" => text("RTM"),
            "EDITION" => text("Developer Edition (64-bit)"),
            "ENGINEEDITION" => text("3"),
            "COLLATION" => text(collation::Collation::DEFAULT.name()),
            "ISINTEGRATEDSECURITYONLY" | "ISHADRENABLED" | "ISCLUSTERED" => text("0"),
            "STATUS" => text("ONLINE"),
            "UPDATEABILITY" => text("READ_WRITE"),
            "NET_TRANSPORT" => text("TCP"),
            "AUTH_SCHEME" => text("SQL"),
            _ => Value::Null,
        })
    })?;
    let owner = Arc::clone(shared);
    connection.create_scalar_function("tds_catalog", 2, FunctionFlags::SQLITE_UTF8, move |ctx| {
        let what: String = ctx.get(0)?;
        let catalog = owner.catalog();
        let by_id = |id: i64| catalog.tables.iter().find(move |table| table.id == id);
        let argument: Value = ctx.get(1)?;
        Ok(match (what.as_str(), argument) {
            ("schema_name", Value::Integer(id)) => {
                let found = catalog.schemas.iter().find(|name| catalog.schema_id(name) == Some(id));
                found.map_or(if id == 4 { Value::Text("sys".to_owned()) } else { Value::Null }, |name| {
                    Value::Text(name.clone())
                })
            }
            ("schema_id", Value::Text(name)) => catalog.schema_id(&name).map_or(Value::Null, Value::Integer),
            ("object_name", Value::Integer(id)) => {
                by_id(id).map_or(Value::Null, |table| Value::Text(table.name.clone()))
            }
            ("object_schema_name", Value::Integer(id)) => {
                by_id(id).map_or(Value::Null, |table| Value::Text(table.schema.clone()))
            }
            ("object_id", Value::Text(name)) => {
                let parts = split_name(&name);
                let found = match parts.as_slice() {
                    [table] => catalog.find("dbo", table),
                    [schema, table] | [_, schema, table] => {
                        catalog.find(if schema.is_empty() { "dbo" } else { schema }, table)
                    }
                    _ => None,
                };
                found.map_or(Value::Null, |table| Value::Integer(table.id))
            }
            ("type_name", Value::Integer(id)) => {
                let known =
                    [SqlType::Int, SqlType::BigInt, SqlType::Bit, SqlType::Date, SqlType::Float, SqlType::Money];
                known
                    .iter()
                    .find(|known| known.system_type_id() == id)
                    .map_or(Value::Null, |known| Value::Text(known.name().to_owned()))
            }
            _ => Value::Null,
        })
    })
}

/// The parts of a name in one text, brackets and quotes removed.
fn split_name(name: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut characters = name.chars().peekable();
    while let Some(character) = characters.next() {
        let close = match character {
            '[' => Some(']'),
            '"' => Some('"'),
            _ => None,
        };
        if let Some(close) = close {
            while let Some(inner) = characters.next() {
                if inner == close && characters.next_if_eq(&close).is_none() {
                    break;
                }
                if let Some(part) = parts.last_mut() {
                    part.push(inner);
                }
            }
        } else if character == '.' {
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            part.push(character);
        }
    }
    parts
}

/// Whether a name is that of a temporary table.
pub(crate) fn is_temporary(name: &str) -> bool {
    name.starts_with('#')
}

pub(crate) fn find_temporary(tables: &[Table], name: &str) -> Option<usize> {
    tables.iter().rposition(|table| same_name(&table.name, name))
}

/// The next descriptor of a transaction.
pub(crate) fn next_transaction(shared: &Shared) -> u64 {
    shared.transactions.fetch_add(1, Ordering::SeqCst) + 1
}
