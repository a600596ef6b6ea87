//! One client's connection: statements, portals and settings, and what each message does to them.
//!
//! Source: PostgreSQL documentation, chapter "Message Flow".

use std::collections::HashMap;
use std::sync::Arc;

use bytes::BytesMut;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use futures::{SinkExt, StreamExt};
use pgwire::api::Type;
use pgwire::messages::data::{NoData, ParameterDescription, RowDescription};
use pgwire::messages::extendedquery::{
    Bind, BindComplete, Close, CloseComplete, Describe, Execute, Parse, ParseComplete, PortalSuspended,
    TARGET_TYPE_BYTE_STATEMENT,
};
use pgwire::messages::response::{CommandComplete, EmptyQueryResponse, ReadyForQuery, TransactionStatus};
use pgwire::messages::{PgWireBackendMessage as Message, PgWireFrontendMessage};
use tokio::io::AsyncWriteExt;
use tokio::sync::watch;

use super::commands::{Command, Constant};
use super::declared::{Declared, Unsettable};
use super::login::Login;
use super::values::{Formats, ParameterError, RowWriter, fields, literal, type_of};
use super::wire::{Fault, Socket, notice};
use super::{Shared, stopped};
use crate::engine::{Answer, Description};
use crate::error::Error;
use crate::identity::User;
use crate::session::Session;
use crate::statements::{Parameters, Statements};

/// Rows are written as many bytes at a time.
const WRITTEN_AT_ONCE: usize = 64 << 10;

/// Statements and portals that one client may keep.
const MOST_KEPT: usize = 10_000;

pub(super) struct Connection {
    shared: Arc<Shared>,
    socket: Socket,
    login: Login,
    declared: Declared,
    /// Changes whenever somebody wants what runs here to end.
    cancels: watch::Receiver<u64>,
    transaction: TransactionStatus,
    statements: HashMap<String, Arc<Prepared>>,
    portals: HashMap<String, Portal>,
}

/// A statement that was prepared.
#[derive(Debug)]
struct Prepared {
    sql: String,
    command: Command,
    parameters: Parameters,
    /// By number, as the client or the statement says them.
    types: Vec<Type>,
    /// The answer's columns; `None` where there is none.
    schema: Option<SchemaRef>,
}

/// A statement with its values, and its rows where it runs.
struct Portal {
    prepared: Arc<Prepared>,
    /// With literals in place of parameters.
    sql: String,
    formats: Formats,
    rows: Option<Rows>,
}

/// Rows under way.
struct Rows {
    answer: Answer,
    batch: Option<(RecordBatch, usize)>,
    is_over: bool,
}

/// How far rows have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    All { rows: usize },
    Suspended,
}

/// Sends an error; the connection's end is the caller's to see to.
///
/// # Errors
/// Nobody is there to be told.
pub(super) async fn tell(socket: &mut Socket, fault: Fault) -> Result<(), Fault> {
    match fault {
        Fault::Told(told) => socket.send(Message::ErrorResponse((*told).into())).await,
        Fault::Gone(error) => Err(Fault::Gone(error)),
    }
}

impl Connection {
    pub fn new(shared: Arc<Shared>, socket: Socket, login: Login, cancels: watch::Receiver<u64>) -> Self {
        Self {
            shared,
            socket,
            declared: login.declared.clone(),
            login,
            cancels,
            transaction: TransactionStatus::Idle,
            statements: HashMap::new(),
            portals: HashMap::new(),
        }
    }

    /// Answers messages until the client leaves, the server stops, or nothing can be said any more.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut skipping = false;
        loop {
            let message = tokio::select! {
                biased;
                () = stopped(&mut stop) => {
                    let _ = tell(&mut self.socket, Fault::fatal("57P01", "the server is stopping")).await;
                    return;
                }
                message = self.socket.next() => message,
            };
            let message = match message {
                Some(Ok(PgWireFrontendMessage::Terminate(_))) | None => return,
                Some(Ok(message)) => message,
                Some(Err(fault)) => {
                    let _ = tell(&mut self.socket, fault).await;
                    return;
                }
            };
            let is_sync = matches!(message, PgWireFrontendMessage::Sync(_));
            // After an error of the extended protocol nothing counts until the client says Sync.
            if skipping && !is_sync {
                continue;
            }
            let is_extended = message.is_extended_query();
            let Err(fault) = self.answer(message).await else {
                skipping = skipping && !is_sync;
                continue;
            };
            let is_fatal = matches!(&fault, Fault::Told(told) if told.is_fatal);
            if tell(&mut self.socket, fault).await.is_err() || is_fatal {
                return;
            }
            if self.transaction == TransactionStatus::Transaction {
                self.transaction = TransactionStatus::Error;
            }
            skipping = is_extended;
            if !is_extended && self.ready().await.is_err() {
                return;
            }
        }
    }

    async fn answer(&mut self, message: PgWireFrontendMessage) -> Result<(), Fault> {
        match message {
            PgWireFrontendMessage::Query(query) => self.simple(&query.query).await,
            PgWireFrontendMessage::Parse(parse) => self.parse(parse).await,
            PgWireFrontendMessage::Bind(bind) => self.bind(bind).await,
            PgWireFrontendMessage::Describe(describe) => self.describe(&describe).await,
            PgWireFrontendMessage::Execute(execute) => self.execute(&execute).await,
            PgWireFrontendMessage::Close(close) => self.close(&close).await,
            PgWireFrontendMessage::Flush(_) => self.socket.flush().await,
            PgWireFrontendMessage::Sync(_) => {
                // The transaction of one round is over, and its portals with it.
                if self.transaction == TransactionStatus::Idle {
                    self.portals.clear();
                }
                self.ready().await
            }
            _ => Err(Fault::fatal("08P01", "this message has no place here")),
        }
    }

    async fn ready(&mut self) -> Result<(), Fault> {
        self.socket.send(Message::ReadyForQuery(ReadyForQuery::new(self.transaction))).await
    }

    /// The user as the file has it now; nobody stays who has been taken out of it.
    fn user(&self) -> Result<User, Fault> {
        let known = self.shared.users.get(&self.login.user);
        known
            .filter(|user| user.verifier == self.login.verifier)
            .ok_or_else(|| Fault::fatal("28000", format!("the login of `{}` holds no longer", self.login.user)))
    }

    fn session(&self) -> Result<Session, Fault> {
        let session = self.declared.session(&self.user()?);
        if session.purpose.is_empty() {
            let hint = "SET wayleave.purpose = '…'; purposes are codes that your data protection officer gives out";
            return Err(Fault::error("42501", "no purpose is declared").hint(hint));
        }
        Ok(session)
    }

    // ── The simple protocol ──

    async fn simple(&mut self, sql: &str) -> Result<(), Fault> {
        // What has no name lives until the next statement.
        self.statements.remove("");
        self.portals.remove("");
        let statements = Statements::split(sql).all();
        if statements.is_empty() {
            self.socket.feed(Message::EmptyQueryResponse(EmptyQueryResponse::new())).await?;
        }
        for sql in statements {
            let command = Command::of(&sql);
            self.check_transaction(&command)?;
            if command == Command::Query {
                let mut rows = self.start(&sql).await?;
                let formats = Formats::default();
                let announced = RowDescription::new(fields(&rows.answer.schema, &formats));
                self.socket.feed(Message::RowDescription(announced)).await?;
                let sent = self.send_rows(&mut rows, &formats, None).await?;
                self.complete(sent).await?;
            } else {
                self.obey(&command, Announce::Columns).await?;
            }
        }
        self.ready().await
    }

    // ── The extended protocol ──

    async fn parse(&mut self, parse: Parse) -> Result<(), Fault> {
        let name = parse.name.unwrap_or_default();
        if !name.is_empty() && self.statements.contains_key(&name) {
            return Err(Fault::error("42P05", format!("there is a prepared statement `{name}` already")));
        }
        if self.statements.len() >= MOST_KEPT {
            return Err(Fault::error("53400", format!("{MOST_KEPT} prepared statements are the most")));
        }
        let mut statements = Statements::split(&parse.query).all();
        if statements.len() > 1 {
            return Err(Fault::error("42601", "several statements cannot be prepared as one"));
        }
        let sql = statements.pop().unwrap_or_default();
        let command = Command::of(&sql);
        self.check_transaction(&command)?;
        let parameters = Parameters::of(&sql);
        let (inferred, schema) = match &command {
            Command::Query => {
                let session = self.session()?;
                let Description { parameters, schema } = self.shared.engine.describe(&session, &sql).await?;
                (parameters, Some(schema))
            }
            other => (Vec::new(), self.schema_of(other)),
        };
        let count = parameters.count().max(parse.type_oids.len());
        let types = (0..count).map(|position| {
            let said = parse.type_oids.get(position).filter(|oid| **oid != 0).and_then(|oid| Type::from_oid(*oid));
            let inferred = || inferred.get(position)?.as_ref().map(type_of);
            said.filter(|said| *said != Type::UNKNOWN).or_else(inferred).unwrap_or(Type::TEXT)
        });
        let prepared = Prepared { types: types.collect(), sql, command, parameters, schema };
        self.statements.insert(name, Arc::new(prepared));
        self.socket.feed(Message::ParseComplete(ParseComplete::new())).await
    }

    async fn bind(&mut self, bind: Bind) -> Result<(), Fault> {
        let prepared = self.statement(bind.statement_name.as_deref())?;
        let name = bind.portal_name.unwrap_or_default();
        if self.portals.len() >= MOST_KEPT {
            return Err(Fault::error("53400", format!("{MOST_KEPT} portals are the most")));
        }
        let (given, wanted) = (bind.parameters.len(), prepared.types.len());
        if given != wanted {
            return Err(Fault::error(
                "08P01",
                format!("{given} parameters are given, and the statement takes {wanted}"),
            ));
        }
        let formats = Formats(bind.parameter_format_codes);
        let literals = bind.parameters.iter().zip(&prepared.types).enumerate().map(|(position, (value, of))| {
            literal(of, value.as_deref(), formats.is_binary(position)).map_err(|wrong| {
                let parameter = format!("parameter ${}", position + 1);
                match wrong {
                    ParameterError::Malformed => Fault::error("22P02", format!("{parameter} is no {of}")),
                    ParameterError::Binary => Fault::error("0A000", format!("{parameter}: {of} is not read in binary"))
                        .hint("send it as text"),
                }
            })
        });
        let literals = literals.collect::<Result<Vec<_>, _>>()?;
        let Some(sql) = prepared.parameters.bound(&prepared.sql, &literals) else {
            return Err(Fault::error("42P02", "the statement names a parameter that nothing is given for"));
        };
        let formats = Formats(bind.result_column_format_codes);
        self.portals.insert(name, Portal { prepared, sql, formats, rows: None });
        self.socket.feed(Message::BindComplete(BindComplete::new())).await
    }

    async fn describe(&mut self, describe: &Describe) -> Result<(), Fault> {
        let name = describe.name.as_deref();
        let (prepared, formats) = if describe.target_type == TARGET_TYPE_BYTE_STATEMENT {
            let prepared = self.statement(name)?;
            let types = prepared.types.iter().map(Type::oid).collect();
            self.socket.feed(Message::ParameterDescription(ParameterDescription::new(types))).await?;
            (prepared, Formats::default())
        } else {
            let portal = self.portals.get(name.unwrap_or_default()).ok_or_else(|| no_portal(name))?;
            (Arc::clone(&portal.prepared), portal.formats.clone())
        };
        let message = match &prepared.schema {
            Some(schema) => Message::RowDescription(RowDescription::new(fields(schema, &formats))),
            None => Message::NoData(NoData::new()),
        };
        self.socket.feed(message).await
    }

    async fn execute(&mut self, execute: &Execute) -> Result<(), Fault> {
        let name = execute.name.clone().unwrap_or_default();
        let mut portal = self.portals.remove(&name).ok_or_else(|| no_portal(Some(&name)))?;
        let command = portal.prepared.command.clone();
        self.check_transaction(&command)?;
        if command != Command::Query {
            self.obey(&command, Announce::Nothing).await?;
            self.portals.insert(name, portal);
            return Ok(());
        }
        let mut rows = match portal.rows.take() {
            // Whoever was removed gets no more of what was begun before.
            Some(rows) => self.user().map(|_| rows)?,
            None => self.start(&portal.sql).await?,
        };
        let described = portal.prepared.schema.as_ref();
        if described.is_some_and(|described| !same_types(described, &rows.answer.schema)) {
            return Err(Fault::error("0A000", "the answer's columns are others than those that were described")
                .hint("prepare the statement again"));
        }
        let most = usize::try_from(execute.max_rows).ok().filter(|most| *most > 0);
        let sent = self.send_rows(&mut rows, &portal.formats, most).await?;
        portal.rows = Some(rows);
        self.portals.insert(name, portal);
        self.complete(sent).await
    }

    async fn close(&mut self, close: &Close) -> Result<(), Fault> {
        let name = close.name.as_deref().unwrap_or_default();
        if close.target_type == TARGET_TYPE_BYTE_STATEMENT {
            self.statements.remove(name);
        } else {
            self.portals.remove(name);
        }
        self.socket.feed(Message::CloseComplete(CloseComplete::new())).await
    }

    fn statement(&self, name: Option<&str>) -> Result<Arc<Prepared>, Fault> {
        let name = name.unwrap_or_default();
        let found = self.statements.get(name).map(Arc::clone);
        found.ok_or_else(|| Fault::error("26000", format!("there is no prepared statement `{name}`")))
    }

    // ── Answers ──

    /// Starts a query, and tells what is withheld.
    async fn start(&mut self, sql: &str) -> Result<Rows, Fault> {
        let session = self.session()?;
        self.cancels.mark_unchanged();
        let engine = Arc::clone(&self.shared.engine);
        let answer = tokio::select! {
            biased;
            answer = engine.query(&session, sql) => answer?,
            _ = self.cancels.changed() => return Err(Error::Cancelled.into()),
        };
        for told in &answer.notices {
            self.socket.feed(notice(told.to_string())).await?;
        }
        Ok(Rows { answer, batch: None, is_over: false })
    }

    /// Sends rows as they come, at most as many.
    async fn send_rows(&mut self, rows: &mut Rows, formats: &Formats, most: Option<usize>) -> Result<Sent, Fault> {
        // What is announced goes before what is written past the buffer of messages.
        self.socket.flush().await?;
        self.cancels.mark_unchanged();
        let mut out = BytesMut::with_capacity(2 * WRITTEN_AT_ONCE);
        let mut count = 0;
        let sent = loop {
            if most.is_some_and(|most| count >= most) {
                break Sent::Suspended;
            }
            let Some((batch, from)) = rows.batch.take() else {
                if rows.is_over {
                    break Sent::All { rows: count };
                }
                let next = tokio::select! {
                    biased;
                    _ = self.cancels.changed() => return Err(Error::Cancelled.into()),
                    next = rows.answer.batches.next() => next,
                };
                match next.transpose().map_err(Error::from)? {
                    Some(batch) => rows.batch = Some((batch, 0)),
                    None => rows.is_over = true,
                }
                // The first rows do not wait for the last.
                if !out.is_empty() {
                    self.socket.get_mut().write_all(&out).await?;
                    out.clear();
                }
                continue;
            };
            let until = most.map_or(batch.num_rows(), |most| batch.num_rows().min(from + most - count));
            let mut row = from;
            while row < until {
                row = write_rows(&batch, formats, row..until, &mut out)?;
                if out.len() >= WRITTEN_AT_ONCE {
                    self.socket.get_mut().write_all(&out).await?;
                    out.clear();
                    if self.cancels.has_changed().unwrap_or(true) {
                        return Err(Error::Cancelled.into());
                    }
                }
            }
            count += until - from;
            if until < batch.num_rows() {
                rows.batch = Some((batch, until));
            }
        };
        self.socket.get_mut().write_all(&out).await?;
        Ok(sent)
    }

    async fn complete(&mut self, sent: Sent) -> Result<(), Fault> {
        let message = match sent {
            Sent::All { rows } => Message::CommandComplete(CommandComplete::new(format!("SELECT {rows}"))),
            Sent::Suspended => Message::PortalSuspended(PortalSuspended::new()),
        };
        self.socket.feed(message).await
    }

    // ── What the endpoint itself answers ──

    /// In a transaction that has failed nothing is done but to end it.
    fn check_transaction(&self, command: &Command) -> Result<(), Fault> {
        if self.transaction == TransactionStatus::Error && !matches!(command, Command::End(_)) {
            return Err(Fault::error("25P02", "the transaction has failed: nothing is done until it ends")
                .hint("write ROLLBACK"));
        }
        Ok(())
    }

    async fn obey(&mut self, command: &Command, announce: Announce) -> Result<(), Fault> {
        let tag = match command {
            // Queries are the engine's.
            Command::Query => return Ok(()),
            Command::Empty => return self.socket.feed(Message::EmptyQueryResponse(EmptyQueryResponse::new())).await,
            Command::Begin => {
                self.transaction = TransactionStatus::Transaction;
                "BEGIN"
            }
            Command::End(tag) => {
                let failed = self.transaction == TransactionStatus::Error;
                self.transaction = TransactionStatus::Idle;
                self.portals.clear();
                if failed { "ROLLBACK" } else { tag }
            }
            Command::Set { name, value } => {
                let set = self.declared.set(name, value.as_deref());
                set.map_err(|Unsettable { message, hint }| Fault::error("22023", message).hint(hint))?;
                "SET"
            }
            Command::Reset(name) => {
                self.declared.reset(name, &self.login.declared);
                "RESET"
            }
            Command::DiscardAll => {
                self.declared.reset("all", &self.login.declared);
                self.statements.clear();
                self.portals.clear();
                "DISCARD ALL"
            }
            Command::Deallocate(name) => {
                match name {
                    Some(name) => drop(self.statements.remove(name)),
                    None => self.statements.clear(),
                }
                "DEALLOCATE"
            }
            Command::Show(_) | Command::Constant { .. } => return self.tell_text(command, announce).await,
        };
        self.socket.feed(Message::CommandComplete(CommandComplete::new(tag.to_owned()))).await
    }

    /// One row of one text.
    async fn tell_text(&mut self, command: &Command, announce: Announce) -> Result<(), Fault> {
        let user = self.user()?;
        let text = match command {
            Command::Show(name) => self.declared.show(name, &user).ok_or_else(|| {
                Fault::error("42704", format!("there is no setting `{name}`"))
                    .hint("wayleave.purpose, wayleave.case, wayleave.reason and wayleave.beyond_consent are settings")
            })?,
            Command::Constant { of: Constant::Version, .. } => {
                format!("PostgreSQL 15.0 (Wayleave {})", env!("CARGO_PKG_VERSION"))
            }
            Command::Constant { of: Constant::Database, .. } => "wayleave".to_owned(),
            Command::Constant { of: Constant::Schema, .. } => "unified".to_owned(),
            Command::Constant { of: Constant::User, .. } => user.identity.user,
            _ => return Ok(()),
        };
        if let (Announce::Columns, Some(schema)) = (announce, self.schema_of(command)) {
            let described = RowDescription::new(fields(&schema, &Formats::default()));
            self.socket.feed(Message::RowDescription(described)).await?;
        }
        // Text and binary are the same of a text.
        let mut data = BytesMut::new();
        bytes::BufMut::put_i32(&mut data, i32::try_from(text.len()).unwrap_or(i32::MAX));
        data.extend_from_slice(text.as_bytes());
        self.socket.feed(Message::DataRow(pgwire::messages::data::DataRow::new(data, 1))).await?;
        let tag = if matches!(command, Command::Show(_)) { "SHOW" } else { "SELECT 1" };
        self.socket.feed(Message::CommandComplete(CommandComplete::new(tag.to_owned()))).await
    }

    /// The columns of what the endpoint itself answers.
    fn schema_of(&self, command: &Command) -> Option<SchemaRef> {
        let column = match command {
            Command::Show(name) => name.as_str(),
            Command::Constant { column, .. } => column,
            _ => return None,
        };
        Some(Arc::new(Schema::new(vec![Field::new(column, DataType::Utf8, false)])))
    }
}

/// Writes rows until there are as many bytes as are written at once; returns the row to go on from.
fn write_rows(
    batch: &RecordBatch,
    formats: &Formats,
    rows: std::ops::Range<usize>,
    out: &mut BytesMut,
) -> Result<usize, Fault> {
    let writer =
        RowWriter::new(batch, formats).map_err(|_| Fault::error("22000", "a value cannot be written as its type"))?;
    let mut next = rows.start;
    while next < rows.end && out.len() < WRITTEN_AT_ONCE {
        writer.write(next, out);
        next += 1;
    }
    Ok(next)
}

/// Whether columns are announced before rows: the simple protocol does, the extended one has been asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Announce {
    Columns,
    Nothing,
}

fn no_portal(name: Option<&str>) -> Fault {
    Fault::error("34000", format!("there is no portal `{}`", name.unwrap_or_default()))
}

fn same_types(described: &SchemaRef, answered: &SchemaRef) -> bool {
    described.fields().len() == answered.fields().len()
        && described
            .fields()
            .iter()
            .zip(answered.fields())
            .all(|(one, other)| type_of(one.data_type()) == type_of(other.data_type()))
}
