//! RPC requests: `sp_executesql`, the prepared statements, and the few procedures that drivers call.

use rusqlite::types::Value;
use sqlparser::ast::Expr;

use crate::batch;
use crate::binder::Variable;
use crate::collation::Collation;
use crate::convert;
use crate::error::SqlError;
use crate::reader::Reader;
use crate::response::Stop;
use crate::session::{Prepared, Session, malformed};
use crate::sql_type::{Position, SqlType};
use crate::token;
use crate::wire::{self, Parameter};

const GREATEST_PARAMETERS: usize = 2100;

impl Session {
    pub(crate) fn handle_rpc(&mut self, body: &[u8]) -> Result<(), Stop> {
        let mut reader = Reader::new(body);
        reader.skip_headers().map_err(malformed)?;
        loop {
            let procedure = match reader.u16().map_err(malformed)? {
                0xffff => match reader.u16().map_err(malformed)? {
                    10 => "sp_executesql".to_owned(),
                    11 => "sp_prepare".to_owned(),
                    12 => "sp_execute".to_owned(),
                    13 => "sp_prepexec".to_owned(),
                    15 => "sp_unprepare".to_owned(),
                    other => format!("procedure number {other}"),
                },
                length => reader.utf16(usize::from(length)).map_err(malformed)?,
            };
            let _options = reader.u16().map_err(malformed)?;
            let mut parameters = Vec::new();
            let mut more = false;
            while let Some(next) = reader.peek() {
                // Another request of the same message: BatchFlag or NoExecFlag.
                if matches!(next, 0x80 | 0xfe | 0xff) {
                    reader.u8().map_err(malformed)?;
                    more = !reader.is_empty();
                    break;
                }
                parameters.push(wire::read_parameter(&mut reader).map_err(malformed)?);
            }
            self.call(&procedure, parameters)?;
            if !more {
                return Ok(());
            }
        }
    }

    fn call(&mut self, procedure: &str, parameters: Vec<Parameter>) -> Result<(), Stop> {
        if parameters.len() > GREATEST_PARAMETERS {
            return Err(SqlError::new(8003, 16, 1, format!("The incoming request has too many parameters. The server supports a maximum of {GREATEST_PARAMETERS} parameters. Reduce the number of parameters and resend the request.")).into());
        }
        self.response.done_token = token::DONE_IN_PROC;
        let bare = procedure.rsplit('.').next().unwrap_or(procedure).trim_matches(['[', ']']).to_ascii_lowercase();
        let mut parameters = parameters.into_iter();
        let mut outputs: Vec<(u16, String, SqlType, Value)> = Vec::new();
        let outcome = match bare.as_str() {
            "sp_executesql" => {
                let text = next_text(&mut parameters)?;
                let declarations = next_text(&mut parameters)?;
                self.log_procedure(parameters.len(), &text);
                self.run_with(&text, &declarations, parameters.collect())
            }
            "sp_prepare" | "sp_prepexec" => {
                let handle_name = parameters.next().map(|parameter| parameter.name).unwrap_or_default();
                let declarations = next_text(&mut parameters)?;
                let text = next_text(&mut parameters)?;
                let handle = self.next_handle;
                self.next_handle += 1;
                self.prepared.insert(handle, Prepared { text: text.clone(), declarations: declarations.clone() });
                outputs.push((0, handle_name, SqlType::Int, Value::Integer(i64::from(handle))));
                if bare == "sp_prepexec" {
                    self.log_procedure(parameters.len(), &text);
                    self.run_with(&text, &declarations, parameters.collect())
                } else {
                    self.describing = true;
                    let declared = self.declare_parameters(&declarations, Vec::new());
                    self.describing = false;
                    declared?;
                    if let Some(columns) = self.describe(&text)? {
                        wire::column_metadata(&mut self.response.buffer, &columns);
                        self.response.done(token::STATUS_COUNT, token::COMMAND_SELECT, 0);
                    }
                    Ok(())
                }
            }
            "sp_execute" => {
                let prepared = self.prepared_for(parameters.next())?;
                self.log_procedure(parameters.len(), &prepared.text);
                self.run_with(&prepared.text, &prepared.declarations, parameters.collect())
            }
            "sp_unprepare" => {
                if let Some(Parameter { value: Value::Integer(handle), .. }) = parameters.next() {
                    self.prepared.remove(&i32::try_from(handle).unwrap_or(0));
                }
                Ok(())
            }
            "sp_reset_connection" => {
                self.reset();
                Ok(())
            }
            _ => Err(SqlError::new(2812, 16, 62, format!("Could not find stored procedure '{procedure}'.")).into()),
        };
        let status = match outcome {
            Ok(()) => 0,
            Err(Stop::Error(error)) => {
                self.response.error(&error);
                error.number
            }
            Err(stop) => return Err(stop),
        };
        self.response.write_pending(token::STATUS_MORE);
        token::return_status(&mut self.response.buffer, status);
        for (ordinal, name, sql_type, value) in outputs {
            wire::return_value(&mut self.response.buffer, ordinal, &name, sql_type, &value);
        }
        for (position, variable) in self.variables.iter().enumerate() {
            if self.outputs.contains(&position)
                && let Some(value) = self.values.get(position)
            {
                wire::return_value(
                    &mut self.response.buffer,
                    u16::try_from(position).unwrap_or(0),
                    &variable.name,
                    variable.sql_type,
                    value,
                );
            }
        }
        self.outputs.clear();
        self.response.done_token = token::DONE_PROC;
        let failed = if status == 0 { 0 } else { token::STATUS_ERROR };
        self.response.done(failed, token::COMMAND_EXECUTE, 0);
        Ok(())
    }

    fn prepared_for(&self, parameter: Option<Parameter>) -> Result<Prepared, SqlError> {
        let handle = match parameter {
            Some(Parameter { value: Value::Integer(handle), .. }) => i32::try_from(handle).unwrap_or(0),
            _ => 0,
        };
        self.prepared.get(&handle).cloned().ok_or_else(|| {
            SqlError::new(8179, 16, 1, format!("Could not find prepared statement with handle {handle}."))
        })
    }

    /// Runs a statement whose parameters are declared and given.
    pub(crate) fn run_with(&mut self, text: &str, declarations: &str, given: Vec<Parameter>) -> Result<(), Stop> {
        let saved = (std::mem::take(&mut self.variables), std::mem::take(&mut self.values));
        let declared = self.declare_parameters(declarations, given);
        let outcome = match declared {
            Ok(()) => self.run(text),
            Err(error) => Err(error.into()),
        };
        if self.outputs.is_empty() {
            (self.variables, self.values) = saved;
        }
        outcome
    }

    /// Each parameter under its declared type, its value converted to it.
    fn declare_parameters(&mut self, declarations: &str, given: Vec<Parameter>) -> Result<(), SqlError> {
        self.variables.clear();
        self.values.clear();
        self.outputs.clear();
        for (name, data_type) in batch::parse_declarations(declarations)? {
            let sql_type = SqlType::from_ast(&data_type, Collation::DEFAULT, Position::Column)?;
            self.variables.push(Variable { name, sql_type });
        }
        self.values = vec![Value::Null; self.variables.len()];
        let mut filled = vec![false; self.variables.len()];
        for (ordinal, parameter) in given.into_iter().enumerate() {
            let position = if parameter.name.is_empty() {
                ordinal
            } else {
                let known =
                    self.variables.iter().position(|variable| variable.name.eq_ignore_ascii_case(&parameter.name));
                known.ok_or_else(|| {
                    SqlError::new(8145, 16, 2, format!("{} is not a parameter for procedure .", parameter.name))
                })?
            };
            let Some(variable) = self.variables.get(position) else {
                return Err(SqlError::new(8144, 16, 2, "Procedure or function has too many arguments specified."));
            };
            let value = convert::cast(parameter.value, parameter.sql_type, variable.sql_type, 0)?;
            if let (Some(place), Some(filled)) = (self.values.get_mut(position), filled.get_mut(position)) {
                *place = value;
                *filled = true;
            }
            if parameter.is_output {
                self.outputs.push(position);
            }
        }
        if let Some(position) = filled.iter().position(|filled| !filled) {
            let missing = self.variables.get(position).map(|variable| variable.name.clone()).unwrap_or_default();
            let given_none = filled.iter().all(|filled| !filled) && declarations.is_empty();
            if !given_none && !self.describing {
                return Err(SqlError::new(
                    8178,
                    16,
                    1,
                    format!("The parameterized query expects the parameter '{missing}', which was not supplied."),
                ));
            }
        }
        Ok(())
    }

    /// `EXEC procedure …` in a batch.
    pub(crate) fn execute_procedure(
        &mut self,
        procedure: &str,
        arguments: &[(Option<String>, Expr)],
    ) -> Result<(), Stop> {
        match procedure.to_ascii_lowercase().as_str() {
            "sp_executesql" => {
                let mut given = Vec::new();
                for (name, expr) in arguments {
                    let (sql_type, value) = self.evaluate(expr, None)?;
                    given.push(Parameter { name: name.clone().unwrap_or_default(), is_output: false, sql_type, value });
                }
                let mut given = given.into_iter();
                let text = next_text(&mut given)?;
                let declarations = next_text(&mut given)?;
                self.run_with(&text, &declarations, given.collect())
            }
            "sp_reset_connection" => {
                self.reset();
                Ok(())
            }
            _ => Err(SqlError::new(2812, 16, 62, format!("Could not find stored procedure '{procedure}'.")).into()),
        }
    }
}

fn next_text(parameters: &mut impl Iterator<Item = Parameter>) -> Result<String, SqlError> {
    match parameters.next() {
        None => Ok(String::new()),
        Some(Parameter { value: Value::Text(text), sql_type, .. }) if sql_type.is_unicode() => Ok(text),
        Some(Parameter { value: Value::Null, .. }) => Ok(String::new()),
        Some(_) => {
            Err(SqlError::new(214, 16, 2, "Procedure expects parameter '@statement' of type 'ntext/nchar/nvarchar'."))
        }
    }
}
