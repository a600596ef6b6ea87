//! The rows of a query on their way to the client, and what is ordered to befall them there.

use std::sync::Arc;

use rusqlite::types::{Value, ValueRef};

use crate::binder::BoundQuery;
use crate::error::SqlError;
use crate::faults::{Fault, Faults};
use crate::response::{Output, Response, Signals, Stop};
use crate::session::Session;
use crate::token;
use crate::wire::{self, ResultColumn};

impl Session {
    /// Runs a bound query and sends its columns and rows.
    pub(crate) fn send_rows(&mut self, bound: &BoundQuery) -> Result<(), Stop> {
        let columns = bound.result_columns();
        let mut statement = self.connection.prepare(&bound.sql).map_err(sqlite)?;
        bind_values(&mut statement, &self.values)?;
        self.response.write_pending(token::STATUS_MORE);
        wire::column_metadata(&mut self.response.buffer, &columns);
        if self.format_only {
            self.response.done(token::STATUS_COUNT, token::COMMAND_SELECT, 0);
            return Ok(());
        }
        let faults = &self.shared.faults;
        let mut sender =
            RowSender { response: &mut self.response, columns: &columns, fault: self.fault.as_ref(), sent: 0 };
        let mut rows = statement.raw_query();
        let outcome = loop {
            match rows.next() {
                Ok(Some(row)) => {
                    let mut values = Vec::with_capacity(columns.len());
                    for position in 0..columns.len() {
                        values.push(row.get_ref(position).map_err(sqlite)?);
                    }
                    if let Err(stop) = sender.send(&values, faults) {
                        break Err(stop);
                    }
                }
                Ok(None) => break sender.end(faults),
                Err(error) => break Err(sqlite(error)),
            }
        };
        let sent = sender.sent;
        drop(rows);
        drop(statement);
        outcome?;
        self.counted(token::COMMAND_SELECT, sent);
        Ok(())
    }
}

pub(crate) fn sqlite(error: rusqlite::Error) -> Stop {
    Stop::Error(SqlError::from_sqlite(&error))
}

pub(crate) fn bind_values(statement: &mut rusqlite::Statement<'_>, values: &[Value]) -> Result<(), Stop> {
    for position in 1..=statement.parameter_count() {
        if let Some(value) = values.get(position - 1) {
            statement.raw_bind_parameter(position, value).map_err(sqlite)?;
        }
    }
    Ok(())
}

/// Sends rows, and lets happen to them what was ordered.
struct RowSender<'a> {
    response: &'a mut Response,
    columns: &'a [ResultColumn],
    fault: Option<&'a Fault>,
    sent: u64,
}

impl RowSender<'_> {
    fn send(&mut self, values: &[ValueRef<'_>], faults: &Faults) -> Result<(), Stop> {
        self.befall(Some(values), faults)?;
        if self.response.signals.is_closed() {
            return Err(Stop::Closed);
        }
        if self.response.signals.has_attention() {
            return Err(Stop::Attention);
        }
        wire::row(&mut self.response.buffer, self.columns, values);
        self.sent += 1;
        self.response.flush_if_full()
    }

    fn end(&mut self, faults: &Faults) -> Result<(), Stop> {
        self.befall(None, faults)
    }

    fn befall(&mut self, values: Option<&[ValueRef<'_>]>, faults: &Faults) -> Result<(), Stop> {
        let signals: Arc<Signals> = Arc::clone(&self.response.signals);
        match self.fault {
            Some(Fault::DisconnectAfterRows(rows)) if *rows == self.sent => {
                if let Some(values) = values {
                    let start = self.response.buffer.len();
                    wire::row(&mut self.response.buffer, self.columns, values);
                    let half = start + (self.response.buffer.len() - start) / 2;
                    self.response.buffer.truncate(half);
                }
                self.response.hand_over()?;
                self.response.send(Output::Flush)?;
                self.response.send(Output::Disconnect)?;
                Err(Stop::Closed)
            }
            Some(Fault::StallAfterRows(rows)) if *rows == self.sent => {
                self.response.hand_over()?;
                self.response.send(Output::Flush)?;
                faults.stall(|| signals.is_closed() || signals.has_attention());
                Ok(())
            }
            Some(Fault::StallDeafAfterRows(rows)) if *rows == self.sent => {
                self.response.hand_over()?;
                self.response.send(Output::Flush)?;
                faults.stall(|| signals.is_closed());
                Ok(())
            }
            Some(Fault::ErrorAfterRows(rows)) if *rows == self.sent => {
                Err(SqlError::new(50000, 16, 1, "The statement was ordered to fail.").into())
            }
            _ => Ok(()),
        }
    }
}
