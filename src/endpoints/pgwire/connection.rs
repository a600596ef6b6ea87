//! One client's connection: statements, portals and settings, and what each message does to them.
//!
//! Source: PostgreSQL documentation, chapter "Message Flow".

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::sql::sqlparser::ast;
use futures::{SinkExt, StreamExt, stream};
use pgwire::api::Type;
use pgwire::messages::data::{NoData, ParameterDescription, RowDescription};
use pgwire::messages::extendedquery::{
    Bind, BindComplete, Close, CloseComplete, Describe, Execute, Parse, ParseComplete, PortalSuspended,
    TARGET_TYPE_BYTE_STATEMENT,
};
use pgwire::messages::response::{CommandComplete, EmptyQueryResponse, ReadyForQuery};
use pgwire::messages::{PgWireBackendMessage as Message, PgWireFrontendMessage};
use tokio::sync::watch;

use super::catalog::{Asked, Asker, KeptCatalogs, Told, Unanswered, described};
use super::commands::Command;
use super::declared::Declared;
use super::login::Login;
use super::obey::{Cursor, Manner};
use super::parameters::{ParameterError, literal};
use super::rows::{Rows, Sent};
use super::transaction::Transaction;
use super::values::{Formats, announced, fields, type_of};
use super::wire::{Fault, Socket, gone, notice};
use super::{Shared, stopped};
use crate::engine::Description;
use crate::error::Error;
use crate::identity::User;
use crate::session::Session;
use crate::statements::{Parameters, Statements};

/// Statements, portals and cursors that one client may keep of each.
pub(super) const MOST_KEPT: usize = 10_000;

pub(super) struct Connection {
    shared: Arc<Shared>,
    pub(super) socket: Socket,
    pub(super) login: Login,
    pub(super) declared: Declared,
    /// Changes whenever somebody wants what runs here to end.
    pub(super) cancels: watch::Receiver<u64>,
    pub(super) transaction: Transaction,
    pub(super) statements: HashMap<String, Arc<Prepared>>,
    pub(super) portals: HashMap<String, Portal>,
    pub(super) cursors: HashMap<String, Cursor>,
    catalogs: KeptCatalogs,
}

/// A statement that was prepared.
#[derive(Debug)]
pub(super) struct Prepared {
    sql: String,
    command: Command,
    parameters: Parameters,
    /// By number, as the client or the statement says them.
    types: Vec<Type>,
    /// The answer's columns; `None` where there is none.
    schema: Option<SchemaRef>,
}

/// A statement with its values, and its rows where it runs.
pub(super) struct Portal {
    prepared: Arc<Prepared>,
    /// With literals in place of parameters.
    sql: String,
    formats: Formats,
    rows: Option<Rows>,
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
            transaction: Transaction::default(),
            statements: HashMap::new(),
            portals: HashMap::new(),
            cursors: HashMap::new(),
            catalogs: KeptCatalogs::default(),
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
            self.transaction.fail();
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
                if self.transaction.is_idle() {
                    self.portals.clear();
                }
                self.ready().await
            }
            _ => Err(Fault::fatal("08P01", "this message has no place here")),
        }
    }

    async fn ready(&mut self) -> Result<(), Fault> {
        self.socket.send(Message::ReadyForQuery(ReadyForQuery::new(self.transaction.status))).await
    }

    /// The user as the file has it now; nobody stays who has been taken out of it.
    pub(super) fn user(&self) -> Result<User, Fault> {
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
                let described = RowDescription::new(fields(&rows.schema, &formats));
                self.socket.feed(Message::RowDescription(described)).await?;
                let sent = rows.send(&mut self.socket, &mut self.cancels, &formats, None).await?;
                self.complete(sent).await?;
            } else {
                self.obey(&command, Manner::simple()).await?;
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
                let (parameters, schema) = self.described(&sql).await?;
                (parameters, Some(schema))
            }
            Command::Declare(declaration) => (self.described(&declaration.query).await?.0, None),
            Command::Fetch { cursor, .. } => (Vec::new(), self.cursors.get(cursor).map(Cursor::schema)),
            Command::Show(name) => (Vec::new(), Some(text_column(name))),
            _ => (Vec::new(), None),
        };
        let count = parameters.count().max(parse.type_oids.len());
        let types = (0..count).map(|position| {
            let said = parse.type_oids.get(position).filter(|oid| **oid != 0).and_then(|oid| Type::from_oid(*oid));
            let inferred = inferred.get(position).cloned().flatten().unwrap_or(Type::TEXT);
            said.filter(|said| *said != Type::UNKNOWN).unwrap_or(inferred)
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
        let (schema, formats) = if describe.target_type == TARGET_TYPE_BYTE_STATEMENT {
            let prepared = self.statement(name)?;
            let types = prepared.types.iter().map(Type::oid).collect();
            self.socket.feed(Message::ParameterDescription(ParameterDescription::new(types))).await?;
            (prepared.schema.clone(), Formats::default())
        } else if let Some(cursor) = self.cursors.get(name.unwrap_or_default()) {
            // A cursor is a portal that SQL has made.
            (Some(cursor.schema()), Formats::default())
        } else {
            let portal = self.portals.get(name.unwrap_or_default()).ok_or_else(|| no_portal(name))?;
            (portal.prepared.schema.clone(), portal.formats.clone())
        };
        let message = match &schema {
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
            // What a cursor is declared for may have parameters.
            let command = if matches!(command, Command::Declare(_)) { Command::of(&portal.sql) } else { command };
            self.obey(&command, Manner { announces: false, formats: portal.formats.clone() }).await?;
            self.portals.insert(name, portal);
            return Ok(());
        }
        let mut rows = match portal.rows.take() {
            // Whoever was removed gets no more of what was begun before.
            Some(rows) => self.user().map(|_| rows)?,
            None => self.start(&portal.sql).await?,
        };
        let described = portal.prepared.schema.as_ref();
        if described.is_some_and(|described| !same_types(described, &rows.schema)) {
            return Err(Fault::error("0A000", "the answer's columns are others than those that were described")
                .hint("prepare the statement again"));
        }
        let most = usize::try_from(execute.max_rows).ok().filter(|most| *most > 0);
        let sent = rows.send(&mut self.socket, &mut self.cancels, &portal.formats, most).await?;
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

    async fn complete(&mut self, sent: Sent) -> Result<(), Fault> {
        let message = match sent {
            Sent::All { rows } => Message::CommandComplete(CommandComplete::new(format!("SELECT {rows}"))),
            Sent::Some { .. } => Message::PortalSuspended(PortalSuspended::new()),
        };
        self.socket.feed(message).await
    }

    /// The types of a question's parameters and the columns of its answer.
    async fn described(&mut self, sql: &str) -> Result<(Vec<Option<Type>>, SchemaRef), Fault> {
        match Asked::by(sql) {
            Asked::Agencies => {
                let session = self.session()?;
                let Description { parameters, schema } = self.shared.engine.describe(&session, sql).await?;
                Ok((parameters.iter().map(|of| of.as_ref().map(type_of)).collect(), schema))
            }
            Asked::Catalogs(query) => {
                let (mut types, schema) = described(&query)?;
                let count = types.keys().next_back().copied().unwrap_or(0);
                Ok(((1..=count).map(|number| types.remove(&number)).collect(), schema))
            }
            Asked::Both => Err(of_both()),
        }
    }

    /// Starts a question, and tells what is withheld.
    pub(super) async fn start(&mut self, sql: &str) -> Result<Rows, Fault> {
        match Asked::by(sql) {
            Asked::Agencies => self.ask_agencies(sql).await,
            Asked::Catalogs(query) => self.ask_catalogs(*query).await,
            Asked::Both => Err(of_both()),
        }
    }

    async fn ask_agencies(&mut self, sql: &str) -> Result<Rows, Fault> {
        let session = self.session()?;
        self.cancels.mark_unchanged();
        let engine = Arc::clone(&self.shared.engine);
        let answer = tokio::select! {
            biased;
            answer = engine.query(&session, sql) => answer?,
            _ = self.cancels.changed() => return Err(Error::Cancelled.into()),
            () = gone(&mut self.socket) => return Err(Fault::Gone(std::io::ErrorKind::UnexpectedEof.into())),
        };
        for told in &answer.notices {
            self.socket.feed(notice(told.to_string())).await?;
        }
        Ok(Rows::new(answer.batches))
    }

    async fn ask_catalogs(&mut self, query: ast::Query) -> Result<Rows, Fault> {
        let user = self.user()?;
        let session = self.declared.session(&user);
        let asker = Asker {
            session: (!session.purpose.is_empty()).then_some(session),
            settings: self.declared.settings(&user),
            user: user.identity.user,
        };
        self.cancels.mark_unchanged();
        let told = self.catalogs.answer(&self.shared.engine, asker, query, &mut self.cancels).await;
        let Told { rows, made } = told?;
        for (name, value) in made {
            self.set(&name, Some(&value))?;
        }
        let batches = RecordBatchStreamAdapter::new(rows.schema(), stream::iter([Ok(rows)]));
        Ok(Rows::new(Box::pin(batches)))
    }
}

/// The one column of a setting that is shown.
pub(super) fn text_column(name: &str) -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new(name, DataType::Utf8, false)]))
}

fn of_both() -> Fault {
    Fault::error("0A000", "a question asks the catalogs or agencies, not both at once")
        .hint("ask pg_catalog or information_schema alone, and then the tables")
}

impl From<Unanswered> for Fault {
    fn from(Unanswered { code, message }: Unanswered) -> Self {
        Self::error(code, message)
    }
}

fn no_portal(name: Option<&str>) -> Fault {
    Fault::error("34000", format!("there is no portal `{}`", name.unwrap_or_default()))
}

fn same_types(described: &SchemaRef, answered: &SchemaRef) -> bool {
    described.fields().len() == answered.fields().len()
        && described.fields().iter().zip(answered.fields()).all(|(one, other)| announced(one) == announced(other))
}
