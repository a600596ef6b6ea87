//! What the endpoint itself does: settings, transactions that only read, and cursors.

use std::sync::Arc;

use bytes::BytesMut;
use datafusion::arrow::datatypes::SchemaRef;
use futures::SinkExt;
use pgwire::messages::PgWireBackendMessage as Message;
use pgwire::messages::data::{DataRow, RowDescription};
use pgwire::messages::response::{CommandComplete, EmptyQueryResponse, TransactionStatus};

use super::commands::{Command, Declaration};
use super::connection::{Connection, MOST_KEPT, text_column};
use super::declared::Unsettable;
use super::rows::{Rows, Sent};
use super::values::{Formats, fields};
use super::wire::Fault;

/// A cursor: rows that are fetched as the client likes.
pub(super) struct Cursor {
    rows: Rows,
    is_held: bool,
    is_binary: bool,
}

impl Cursor {
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.rows.schema)
    }
}

/// How an answer is sent.
#[derive(Clone, Debug)]
pub(super) struct Manner {
    /// Whether columns are announced before rows: the simple protocol does, the extended one has been asked.
    pub announces: bool,
    pub formats: Formats,
}

impl Manner {
    pub fn simple() -> Self {
        Self { announces: true, formats: Formats::default() }
    }
}

impl Connection {
    /// In a transaction that has failed nothing is done but to end it.
    pub(super) fn check_transaction(&self, command: &Command) -> Result<(), Fault> {
        let ends = matches!(command, Command::End(_) | Command::RollbackTo(_));
        if self.transaction.status == TransactionStatus::Error && !ends {
            return Err(Fault::error("25P02", "the transaction has failed: nothing is done until it ends")
                .hint("write ROLLBACK"));
        }
        Ok(())
    }

    pub(super) async fn obey(&mut self, command: &Command, manner: Manner) -> Result<(), Fault> {
        let tag = match command {
            // Queries are the engine's.
            Command::Query => return Ok(()),
            Command::Empty => return self.socket.feed(Message::EmptyQueryResponse(EmptyQueryResponse::new())).await,
            Command::Begin => {
                self.transaction.begin();
                "BEGIN"
            }
            Command::End(tag) => {
                self.portals.clear();
                self.cursors.retain(|_, cursor| cursor.is_held);
                self.transaction.end(tag)
            }
            Command::Savepoint(name) => {
                self.transaction.set_savepoint(name)?;
                "SAVEPOINT"
            }
            Command::Release(name) => {
                self.transaction.release_savepoint(name)?;
                "RELEASE"
            }
            Command::RollbackTo(name) => {
                self.transaction.roll_back_to(name)?;
                "ROLLBACK"
            }
            Command::Declare(declaration) => {
                self.declare(declaration).await?;
                "DECLARE CURSOR"
            }
            Command::Fetch { cursor, most } => return self.fetch(cursor, *most, manner).await,
            Command::CloseCursor(None) => {
                self.cursors.clear();
                "CLOSE CURSOR ALL"
            }
            Command::CloseCursor(Some(name)) => {
                self.cursors.remove(name).ok_or_else(|| no_cursor(name))?;
                "CLOSE CURSOR"
            }
            Command::Set { name, value } => {
                self.set(name, value.as_deref())?;
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
                self.cursors.clear();
                "DISCARD ALL"
            }
            Command::Deallocate(name) => {
                match name {
                    Some(name) => drop(self.statements.remove(name)),
                    None => self.statements.clear(),
                }
                "DEALLOCATE"
            }
            Command::Show(name) => return self.show(name, &manner).await,
        };
        self.socket.feed(Message::CommandComplete(CommandComplete::new(tag.to_owned()))).await
    }

    pub(super) fn set(&mut self, name: &str, value: Option<&str>) -> Result<(), Fault> {
        let set = self.declared.set(name, value);
        set.map_err(|Unsettable { message, hint }| Fault::error("22023", message).hint(hint))
    }

    /// One row of one text.
    async fn show(&mut self, name: &str, manner: &Manner) -> Result<(), Fault> {
        let user = self.user()?;
        let text = self.declared.show(name, &user).ok_or_else(|| {
            Fault::error("42704", format!("there is no setting `{name}`"))
                .hint("wayleave.purpose, wayleave.case, wayleave.reason and wayleave.beyond_consent are settings")
        })?;
        if manner.announces {
            let described = RowDescription::new(fields(&text_column(name), &Formats::default()));
            self.socket.feed(Message::RowDescription(described)).await?;
        }
        // Text and binary are the same of a text.
        let mut data = BytesMut::new();
        bytes::BufMut::put_i32(&mut data, i32::try_from(text.len()).unwrap_or(i32::MAX));
        data.extend_from_slice(text.as_bytes());
        self.socket.feed(Message::DataRow(DataRow::new(data, 1))).await?;
        self.socket.feed(Message::CommandComplete(CommandComplete::new("SHOW".to_owned()))).await
    }

    async fn declare(&mut self, declaration: &Declaration) -> Result<(), Fault> {
        let Declaration { cursor: name, query, is_held, is_binary } = declaration.clone();
        if !is_held {
            self.transaction.check_begun("DECLARE CURSOR")?;
        }
        if self.cursors.contains_key(&name) {
            return Err(Fault::error("42P03", format!("there is a cursor `{name}` already")));
        }
        if self.cursors.len() >= MOST_KEPT {
            return Err(Fault::error("53400", format!("{MOST_KEPT} cursors are the most")));
        }
        let rows = self.start(&query).await?;
        self.cursors.insert(name, Cursor { rows, is_held, is_binary });
        Ok(())
    }

    async fn fetch(&mut self, name: &str, most: Option<usize>, manner: Manner) -> Result<(), Fault> {
        // Whoever was removed gets no more of what was begun before.
        self.user()?;
        let mut cursor = self.cursors.remove(name).ok_or_else(|| no_cursor(name))?;
        let formats = if cursor.is_binary { Formats::binary() } else { manner.formats };
        if manner.announces {
            let described = RowDescription::new(fields(&cursor.rows.schema, &formats));
            self.socket.feed(Message::RowDescription(described)).await?;
        }
        let sent = cursor.rows.send(&mut self.socket, &mut self.cancels, &formats, most).await?;
        self.cursors.insert(name.to_owned(), cursor);
        let (Sent::All { rows } | Sent::Some { rows }) = sent;
        self.socket.feed(Message::CommandComplete(CommandComplete::new(format!("FETCH {rows}")))).await
    }
}

fn no_cursor(name: &str) -> Fault {
    Fault::error("34000", format!("there is no cursor `{name}`"))
}
