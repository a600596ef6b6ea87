//! Tokens of a response (MS-TDS 2.2.7).

use crate::error::SqlError;

pub const UTF8_SUPPORT: u8 = 0x0a;

pub const DONE: u8 = 0xfd;
pub const DONE_PROC: u8 = 0xfe;
pub const DONE_IN_PROC: u8 = 0xff;

pub const STATUS_MORE: u16 = 0x0001;
pub const STATUS_ERROR: u16 = 0x0002;
pub const STATUS_COUNT: u16 = 0x0010;
pub const STATUS_ATTENTION: u16 = 0x0020;

pub const COMMAND_SELECT: u16 = 0x00c1;
pub const COMMAND_INSERT: u16 = 0x00c3;
pub const COMMAND_DELETE: u16 = 0x00c4;
pub const COMMAND_OTHER: u16 = 0x0000;
pub const COMMAND_EXECUTE: u16 = 0x00e0;

pub const ROW: u8 = 0xd1;
pub const NBC_ROW: u8 = 0xd2;

/// Changes that ENVCHANGE reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnvironmentChange<'a> {
    Database { new: &'a str, old: &'a str },
    Language { new: &'a str, old: &'a str },
    PacketSize { new: u32, old: u32 },
    Collation([u8; 5]),
    BeginTransaction(u64),
    CommitTransaction(u64),
    RollbackTransaction(u64),
    ResetConnection,
}

fn b_varchar(out: &mut Vec<u8>, text: &str) {
    let units: Vec<u16> = text.encode_utf16().take(255).collect();
    out.push(units.len() as u8);
    out.extend(units.iter().flat_map(|unit| unit.to_le_bytes()));
}

fn us_varchar(out: &mut Vec<u8>, text: &str) {
    let units: Vec<u16> = text.encode_utf16().take(0xffff).collect();
    out.extend_from_slice(&(units.len() as u16).to_le_bytes());
    out.extend(units.iter().flat_map(|unit| unit.to_le_bytes()));
}

pub fn column_name(out: &mut Vec<u8>, name: &str) {
    b_varchar(out, name);
}

pub fn table_name(out: &mut Vec<u8>, parts: &[&str]) {
    out.push(parts.len() as u8);
    for part in parts {
        us_varchar(out, part);
    }
}

fn with_length(out: &mut Vec<u8>, token: u8, body: &[u8]) {
    out.push(token);
    out.extend_from_slice(&(body.len() as u16).to_le_bytes());
    out.extend_from_slice(body);
}

pub fn environment_change(out: &mut Vec<u8>, change: &EnvironmentChange<'_>) {
    let mut body = Vec::new();
    let descriptor = |body: &mut Vec<u8>, kind: u8, new: Option<u64>, old: Option<u64>| {
        body.push(kind);
        for side in [new, old] {
            match side {
                Some(descriptor) => {
                    body.push(8);
                    body.extend_from_slice(&descriptor.to_le_bytes());
                }
                None => body.push(0),
            }
        }
    };
    match change {
        EnvironmentChange::Database { new, old } => {
            body.push(1);
            b_varchar(&mut body, new);
            b_varchar(&mut body, old);
        }
        EnvironmentChange::Language { new, old } => {
            body.push(2);
            b_varchar(&mut body, new);
            b_varchar(&mut body, old);
        }
        EnvironmentChange::PacketSize { new, old } => {
            body.push(4);
            b_varchar(&mut body, &new.to_string());
            b_varchar(&mut body, &old.to_string());
        }
        EnvironmentChange::Collation(bytes) => {
            body.extend_from_slice(&[7, 5]);
            body.extend_from_slice(bytes);
            body.push(0);
        }
        EnvironmentChange::BeginTransaction(number) => descriptor(&mut body, 8, Some(*number), None),
        EnvironmentChange::CommitTransaction(number) => descriptor(&mut body, 9, None, Some(*number)),
        EnvironmentChange::RollbackTransaction(number) => descriptor(&mut body, 10, None, Some(*number)),
        EnvironmentChange::ResetConnection => descriptor(&mut body, 18, None, None),
    }
    with_length(out, 0xe3, &body);
}

fn notice(out: &mut Vec<u8>, token: u8, message: &SqlError, line: u32) {
    let mut body = message.number.to_le_bytes().to_vec();
    body.extend_from_slice(&[message.state, message.class]);
    us_varchar(&mut body, &message.message);
    b_varchar(&mut body, "WAYLEAVE");
    b_varchar(&mut body, "");
    body.extend_from_slice(&line.to_le_bytes());
    with_length(out, token, &body);
}

pub fn error(out: &mut Vec<u8>, error: &SqlError, line: u32) {
    notice(out, 0xaa, error, line);
}

pub fn info(out: &mut Vec<u8>, message: &SqlError) {
    notice(out, 0xab, message, 1);
}

/// `version`: major, minor, build.
pub fn login_ack(out: &mut Vec<u8>, version: [u8; 4]) {
    // The interface is T-SQL; TDS 7.4 in the order of the specification's table.
    let mut body = vec![1, 0x74, 0x00, 0x00, 0x04];
    b_varchar(&mut body, "Microsoft SQL Server");
    body.extend_from_slice(&version);
    with_length(out, 0xad, &body);
}

/// Acknowledges UTF8_SUPPORT alone: nothing else that a client may offer is there.
pub fn feature_ext_ack(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0xae, UTF8_SUPPORT, 1, 0, 0, 0, 1, 0xff]);
}

pub fn done(out: &mut Vec<u8>, token: u8, status: u16, command: u16, rows: u64) {
    out.push(token);
    out.extend_from_slice(&status.to_le_bytes());
    out.extend_from_slice(&command.to_le_bytes());
    out.extend_from_slice(&rows.to_le_bytes());
}

pub fn return_status(out: &mut Vec<u8>, status: i32) {
    out.push(0x79);
    out.extend_from_slice(&status.to_le_bytes());
}

/// The head of RETURNVALUE, before TYPE_INFO and the value.
pub fn return_value(out: &mut Vec<u8>, ordinal: u16, name: &str) {
    out.push(0xac);
    out.extend_from_slice(&ordinal.to_le_bytes());
    b_varchar(out, name);
    out.push(1);
    out.extend_from_slice(&[0; 6]);
}
