//! Functions of PostgreSQL that clients call over its catalogs, for SQLite.

use std::sync::{Arc, Mutex, PoisonError};

use pgwire::api::Type;
use regex::{Regex, RegexBuilder};
use rusqlite::Connection;
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::{Value, ValueRef};
use serde_json::Value as Json;

use super::super::arrays::{array_element, elements};
use super::definitions::{FUNCTIONS as PROCEDURES, PG_CATALOG, TYPES, relation, relations, sql_name, type_of_sql};
use super::listing::{DATABASE, DEFAULT_SCHEMA, Listing, OWNER, OWNER_OID, USER_OID};

/// Elements that one series has at most.
const LONGEST_SERIES: i64 = 100_000;
/// Bytes of a compiled pattern.
const LARGEST_PATTERN: usize = 1 << 20;

/// A function that SQLite is given.
pub(super) struct Function {
    pub name: &'static str,
    pub of: Type,
    /// Whether only a server's own catalogs have it: a question that calls it is one to them.
    pub is_system: bool,
    /// Whether a number that stands for a name is given to it as the name.
    pub takes_names: bool,
    value: fn(&Arguments<'_>, &World) -> Given,
}

/// What functions know.
pub(super) struct World {
    pub listing: Arc<Listing>,
    /// Settings that a question makes.
    pub made: Mutex<Vec<(String, String)>>,
}

type Given = Result<Value, String>;

/// A call's arguments.
pub(super) struct Arguments<'a>(&'a Context<'a>);

impl Arguments<'_> {
    fn raw(&self, at: usize) -> ValueRef<'_> {
        if at < self.0.len() { self.0.get_raw(at) } else { ValueRef::Null }
    }

    fn text(&self, at: usize) -> Option<String> {
        match self.raw(at) {
            ValueRef::Null => None,
            ValueRef::Integer(number) => Some(number.to_string()),
            ValueRef::Real(number) => Some(number.to_string()),
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        }
    }

    fn number(&self, at: usize) -> Option<i64> {
        match self.raw(at) {
            ValueRef::Integer(number) => Some(number),
            ValueRef::Text(_) => self.text(at)?.trim().parse().ok(),
            _ => None,
        }
    }

    fn array(&self, at: usize) -> Option<Vec<Json>> {
        let text = self.text(at).filter(|text| text.starts_with(['[', '{']))?;
        array_literal(&text, false)
    }

    fn json(&self, at: usize) -> Json {
        match self.raw(at) {
            ValueRef::Integer(number) => Json::from(number),
            ValueRef::Null => Json::Null,
            _ => self.text(at).map_or(Json::Null, Json::from),
        }
    }
}

/// Of a server's own catalogs.
const fn system(name: &'static str, of: Type, value: fn(&Arguments<'_>, &World) -> Given) -> Function {
    Function { name, of, is_system: true, takes_names: false, value }
}

/// Of any SQL.
const fn plain(name: &'static str, of: Type, value: fn(&Arguments<'_>, &World) -> Given) -> Function {
    Function { name, of, is_system: false, takes_names: true, value }
}

const NOTHING: fn(&Arguments<'_>, &World) -> Given = |_, _| Ok(Value::Null);
const TRUE: fn(&Arguments<'_>, &World) -> Given = |_, _| Ok(Value::Integer(1));
const FALSE: fn(&Arguments<'_>, &World) -> Given = |_, _| Ok(Value::Integer(0));
const UTF8: fn(&Arguments<'_>, &World) -> Given = |_, _| text("UTF8");
const USER: fn(&Arguments<'_>, &World) -> Given = |_, world| text(&world.listing.user);
const NOW: fn(&Arguments<'_>, &World) -> Given =
    |_, _| text(chrono::Utc::now().format("%Y-%m-%d %H:%M:%S%.6f+00").to_string());
const IS_VISIBLE: fn(&Arguments<'_>, &World) -> Given = |arguments, world| {
    let Some(oid) = arguments.number(0) else { return Ok(Value::Null) };
    let schema = world.listing.relation(oid).map(|relation| relation.schema.as_str());
    let schema = schema.or_else(|| own_relation(oid));
    Ok(Value::Integer(i64::from(schema.is_some_and(Listing::is_searched))))
};
/// Reading is all that anybody may; what is not released is not there to be asked about.
const MAY: fn(&Arguments<'_>, &World) -> Given = |arguments, _| {
    let last = (0..3).rev().find_map(|at| arguments.text(at)).unwrap_or_default().to_ascii_uppercase();
    let may = last
        .split(',')
        .any(|privilege| matches!(privilege.trim(), "SELECT" | "USAGE" | "CONNECT" | "MEMBER" | "EXECUTE" | "SET"));
    Ok(Value::Integer(i64::from(may)))
};

/// Every function that SQLite is given; `wl_` are those that translation alone calls.
static FUNCTIONS: &[Function] = &[
    // ── What server this is, and who asks ──
    system("version", Type::TEXT, |_, _| text(format!("PostgreSQL 15.0 (Wayleave {})", env!("CARGO_PKG_VERSION")))),
    system("current_database", Type::NAME, |_, _| text(DATABASE)),
    system("current_catalog", Type::NAME, |_, _| text(DATABASE)),
    system("current_schema", Type::NAME, |_, _| text(DEFAULT_SCHEMA)),
    system("current_schemas", Type::NAME_ARRAY, |arguments, _| {
        let searched =
            if arguments.number(0) == Some(1) { vec![PG_CATALOG, DEFAULT_SCHEMA] } else { vec![DEFAULT_SCHEMA] };
        json(&Json::from(searched))
    }),
    system("current_user", Type::NAME, USER),
    system("session_user", Type::NAME, USER),
    system("user", Type::NAME, USER),
    system("current_role", Type::NAME, USER),
    system("pg_backend_pid", Type::INT4, FALSE),
    system("pg_is_in_recovery", Type::BOOL, FALSE),
    system("pg_is_wal_replay_paused", Type::BOOL, FALSE),
    system("txid_current", Type::INT8, TRUE),
    system("inet_server_addr", Type::TEXT, NOTHING),
    system("inet_server_port", Type::INT4, NOTHING),
    system("inet_client_addr", Type::TEXT, NOTHING),
    system("pg_postmaster_start_time", Type::TEXT, NOTHING),
    system("pg_conf_load_time", Type::TEXT, NOTHING),
    system("pg_encoding_to_char", Type::NAME, UTF8),
    system("getdatabaseencoding", Type::NAME, UTF8),
    system("pg_client_encoding", Type::NAME, UTF8),
    system("pg_char_to_encoding", Type::INT4, |_, _| Ok(Value::Integer(6))),
    system("current_setting", Type::TEXT, |arguments, world| {
        let name = arguments.text(0).unwrap_or_default();
        let known = world.listing.settings.iter().find(|(known, _)| known.eq_ignore_ascii_case(&name));
        match known {
            Some((_, value)) => text(value),
            None if arguments.number(1) == Some(1) => Ok(Value::Null),
            None => Err(format!("there is no setting `{name}`")),
        }
    }),
    system("set_config", Type::TEXT, |arguments, world| {
        let (Some(name), value) = (arguments.text(0), arguments.text(1).unwrap_or_default()) else {
            return Err("a setting has a name".to_owned());
        };
        world.made.lock().unwrap_or_else(PoisonError::into_inner).push((name.to_ascii_lowercase(), value.clone()));
        text(value)
    }),
    system("now", Type::TIMESTAMPTZ, NOW),
    // ── Names and numbers that stand for them ──
    system("format_type", Type::TEXT, |arguments, _| {
        let Some(oid) = arguments.number(0) else { return Ok(Value::Null) };
        let unknown = if oid == 0 { "-" } else { "???" };
        text(sql_name(oid, arguments.number(1)).unwrap_or_else(|| unknown.to_owned()))
    }),
    system("to_regclass", Type::REGCLASS, |arguments, world| Ok(regclass(arguments, world).unwrap_or(Value::Null))),
    system("to_regtype", Type::REGTYPE, |arguments, world| Ok(regtype(arguments, world).unwrap_or(Value::Null))),
    system("to_regproc", Type::REGPROC, |arguments, world| Ok(regproc(arguments, world).unwrap_or(Value::Null))),
    system("to_regnamespace", Type::REGNAMESPACE, |arguments, world| {
        Ok(regnamespace(arguments, world).unwrap_or(Value::Null))
    }),
    system("pg_get_userbyid", Type::NAME, |arguments, world| match arguments.number(0) {
        Some(oid) if oid == i64::from(OWNER_OID) => text(OWNER),
        Some(oid) if oid == i64::from(USER_OID) => text(&world.listing.user),
        Some(oid) => text(format!("unknown (OID={oid})")),
        None => Ok(Value::Null),
    }),
    system("pg_typeof", Type::TEXT, |_, _| text("unknown")),
    system("quote_ident", Type::TEXT, |arguments, _| {
        Ok(arguments.text(0).map_or(Value::Null, |name| Value::Text(quote_ident(&name))))
    }),
    system("parse_ident", Type::TEXT_ARRAY, |arguments, _| match arguments.text(0) {
        Some(name) => json(&Json::from(parts(&name))),
        None => Ok(Value::Null),
    }),
    system("quote_literal", Type::TEXT, |arguments, _| {
        Ok(arguments.text(0).map_or(Value::Null, |text| Value::Text(format!("'{}'", text.replace('\'', "''")))))
    }),
    // ── What may be seen and done ──
    system("pg_table_is_visible", Type::BOOL, IS_VISIBLE),
    // Everything else is PostgreSQL's own, and found without its schema.
    system("pg_is_visible", Type::BOOL, TRUE),
    system("has_table_privilege", Type::BOOL, MAY),
    system("has_any_column_privilege", Type::BOOL, MAY),
    system("has_column_privilege", Type::BOOL, MAY),
    system("has_schema_privilege", Type::BOOL, MAY),
    system("has_database_privilege", Type::BOOL, MAY),
    system("has_function_privilege", Type::BOOL, MAY),
    system("has_type_privilege", Type::BOOL, MAY),
    system("has_sequence_privilege", Type::BOOL, FALSE),
    system("has_tablespace_privilege", Type::BOOL, FALSE),
    system("has_server_privilege", Type::BOOL, FALSE),
    system("pg_has_role", Type::BOOL, TRUE),
    system("pg_relation_is_publishable", Type::BOOL, FALSE),
    system("pg_relation_is_updatable", Type::INT4, FALSE),
    system("pg_column_is_updatable", Type::BOOL, FALSE),
    // ── Descriptions ──
    system("obj_description", Type::TEXT, |arguments, world| comment(arguments.number(0), Some(0), world)),
    system("col_description", Type::TEXT, |arguments, world| comment(arguments.number(0), arguments.number(1), world)),
    system("shobj_description", Type::TEXT, NOTHING),
    system("pg_get_expr", Type::TEXT, NOTHING),
    system("pg_get_viewdef", Type::TEXT, |_, _| text("")),
    system("pg_get_constraintdef", Type::TEXT, NOTHING),
    system("pg_get_indexdef", Type::TEXT, NOTHING),
    system("pg_get_ruledef", Type::TEXT, NOTHING),
    system("pg_get_triggerdef", Type::TEXT, NOTHING),
    system("pg_get_functiondef", Type::TEXT, NOTHING),
    system("pg_get_function_arguments", Type::TEXT, NOTHING),
    system("pg_get_function_identity_arguments", Type::TEXT, NOTHING),
    system("pg_get_function_result", Type::TEXT, NOTHING),
    system("pg_get_partkeydef", Type::TEXT, NOTHING),
    system("pg_get_partition_constraintdef", Type::TEXT, NOTHING),
    system("pg_get_statisticsobjdef_columns", Type::TEXT, NOTHING),
    system("pg_get_serial_sequence", Type::TEXT, NOTHING),
    system("pg_sequence_last_value", Type::INT8, NOTHING),
    system("pg_tablespace_location", Type::TEXT, |_, _| text("")),
    system("pg_stat_get_numscans", Type::INT8, FALSE),
    system("pg_table_size", Type::INT8, NOTHING),
    system("pg_relation_size", Type::INT8, NOTHING),
    system("pg_total_relation_size", Type::INT8, NOTHING),
    system("pg_indexes_size", Type::INT8, NOTHING),
    system("pg_database_size", Type::INT8, NOTHING),
    system("pg_tablespace_size", Type::INT8, NOTHING),
    system("pg_size_pretty", Type::TEXT, |arguments, _| {
        Ok(arguments.number(0).map_or(Value::Null, |bytes| Value::Text(format!("{bytes} bytes"))))
    }),
    // ── Arrays ──
    plain("array_to_string", Type::TEXT, |arguments, _| {
        let Some(items) = arguments.array(0) else { return Ok(Value::Null) };
        let shown = items.iter().filter(|item| !item.is_null()).map(|item| match item {
            Json::String(text) => text.clone(),
            other => other.to_string(),
        });
        text(shown.collect::<Vec<_>>().join(&arguments.text(1).unwrap_or_default()))
    }),
    plain("array_length", Type::INT4, |arguments, _| length(arguments.array(0))),
    plain("array_upper", Type::INT4, |arguments, _| length(arguments.array(0))),
    plain("cardinality", Type::INT4, |arguments, _| {
        let count = arguments.array(0).and_then(|items| i64::try_from(items.len()).ok());
        Ok(count.map_or(Value::Null, Value::Integer))
    }),
    plain("array_lower", Type::INT4, |arguments, _| length(arguments.array(0).map(|_| vec![Json::Null]))),
    plain("array_ndims", Type::INT4, |arguments, _| length(arguments.array(0).map(|_| vec![Json::Null]))),
    plain("array_position", Type::INT4, |arguments, _| {
        let place = arguments.array(0).and_then(|items| items.iter().position(|item| *item == arguments.json(1)));
        Ok(place.and_then(|at| i64::try_from(at + 1).ok()).map_or(Value::Null, Value::Integer))
    }),
    plain("array_cat", Type::ANYARRAY, |arguments, _| {
        let part = |at: usize| {
            arguments.array(at).unwrap_or_else(|| match arguments.json(at) {
                Json::Null => Vec::new(),
                item => vec![item],
            })
        };
        json(&Json::from([part(0), part(1)].concat()))
    }),
    plain("array_append", Type::ANYARRAY, |arguments, _| {
        let mut items = arguments.array(0).unwrap_or_default();
        items.push(arguments.json(1));
        json(&Json::from(items))
    }),
    plain("array_remove", Type::ANYARRAY, |arguments, _| {
        let Some(mut items) = arguments.array(0) else { return Ok(Value::Null) };
        let removed = arguments.json(1);
        items.retain(|item| *item != removed);
        json(&Json::from(items))
    }),
    plain("string_to_array", Type::TEXT_ARRAY, |arguments, _| {
        let (Some(whole), Some(by)) = (arguments.text(0), arguments.text(1)) else { return Ok(Value::Null) };
        json(&Json::from(whole.split(by.as_str()).collect::<Vec<_>>()))
    }),
    // ── Texts ──
    plain("split_part", Type::TEXT, |arguments, _| {
        let (Some(whole), Some(by), Some(at)) = (arguments.text(0), arguments.text(1), arguments.number(2)) else {
            return Ok(Value::Null);
        };
        let part = usize::try_from(at - 1).ok().and_then(|at| whole.split(by.as_str()).nth(at));
        text(part.unwrap_or_default())
    }),
    plain("left", Type::TEXT, |arguments, _| {
        let (Some(whole), Some(count)) = (arguments.text(0), arguments.number(1)) else { return Ok(Value::Null) };
        text(whole.chars().take(usize::try_from(count).unwrap_or(0)).collect::<String>())
    }),
    plain("right", Type::TEXT, |arguments, _| {
        let (Some(whole), Some(count)) = (arguments.text(0), arguments.number(1)) else { return Ok(Value::Null) };
        let before = whole.chars().count().saturating_sub(usize::try_from(count).unwrap_or(0));
        text(whole.chars().skip(before).collect::<String>())
    }),
    plain("strpos", Type::INT4, |arguments, _| {
        let (Some(whole), Some(part)) = (arguments.text(0), arguments.text(1)) else { return Ok(Value::Null) };
        let before = whole.find(part.as_str()).and_then(|at| whole.get(..at)).map(|before| before.chars().count() + 1);
        Ok(Value::Integer(before.and_then(|at| i64::try_from(at).ok()).unwrap_or(0)))
    }),
    plain("concat", Type::TEXT, |arguments, _| {
        text((0..arguments.0.len()).filter_map(|at| arguments.text(at)).collect::<String>())
    }),
    plain("concat_ws", Type::TEXT, |arguments, _| {
        let parts: Vec<String> = (1..arguments.0.len()).filter_map(|at| arguments.text(at)).collect();
        text(parts.join(&arguments.text(0).unwrap_or_default()))
    }),
    plain("format", Type::TEXT, |arguments, _| {
        let Some(written) = arguments.text(0) else { return Ok(Value::Null) };
        let (mut out, mut next, mut characters) = (String::new(), 1, written.chars());
        while let Some(character) = characters.next() {
            let kind = if character == '%' { characters.next() } else { None };
            match kind {
                None => out.push(character),
                Some('%') => out.push('%'),
                Some(kind) => {
                    let value = arguments.text(next).unwrap_or_default();
                    next += 1;
                    out.push_str(&match kind {
                        's' => value,
                        'I' => quote_ident(&value),
                        'L' => format!("'{}'", value.replace('\'', "''")),
                        other => return Err(format!("`%{other}` is no part of a format")),
                    });
                }
            }
        }
        text(out)
    }),
    plain("starts_with", Type::BOOL, |arguments, _| {
        let (Some(whole), Some(start)) = (arguments.text(0), arguments.text(1)) else { return Ok(Value::Null) };
        Ok(Value::Integer(i64::from(whole.starts_with(start.as_str()))))
    }),
    plain("regexp_replace", Type::TEXT, |arguments, _| {
        let (Some(whole), Some(with)) = (arguments.text(0), arguments.text(2)) else { return Ok(Value::Null) };
        let flags = arguments.text(3).unwrap_or_default();
        let pattern = pattern(&arguments.text(1).unwrap_or_default(), flags.contains('i'))?;
        // Groups are \1 in PostgreSQL, and ${1} here.
        let with = Regex::new(r"\\(\d)")
            .map_or(with.clone(), |group| group.replace_all(&with.replace('$', "$$"), "$${$1}").into_owned());
        let count = usize::from(!flags.contains('g'));
        text(pattern.replacen(&whole, count, with.as_str()))
    }),
    // ── What translation calls ──
    plain("wl_array", Type::ANYARRAY, |arguments, _| {
        let Some(written) = arguments.text(0) else { return Ok(Value::Null) };
        let items = array_literal(&written, arguments.number(1) == Some(1));
        json(&Json::from(items.ok_or_else(|| format!("`{written}` is no array"))?))
    }),
    plain("wl_array_text", Type::TEXT, |arguments, _| {
        Ok(arguments.array(0).map_or(Value::Null, |items| Value::Text(array_text(&items))))
    }),
    plain("wl_series", Type::INT4_ARRAY, |arguments, _| {
        let (Some(first), Some(last)) = (arguments.number(0), arguments.number(1)) else {
            return json(&Json::Array(Vec::new()));
        };
        let step = arguments.number(2).unwrap_or(1);
        let mut items = Vec::new();
        let mut next = first;
        while step != 0 && (if step > 0 { next <= last } else { next >= last }) {
            if i64::try_from(items.len()).is_ok_and(|count| count >= LONGEST_SERIES) {
                return Err(format!("a series over the catalogs has {LONGEST_SERIES} elements at most"));
            }
            items.push(next);
            let Some(after) = next.checked_add(step) else { break };
            next = after;
        }
        json(&Json::from(items))
    }),
    plain("wl_matches", Type::BOOL, |arguments, _| {
        let (Some(value), Some(_)) = (arguments.text(0), arguments.text(1)) else { return Ok(Value::Null) };
        let compiled = compiled(arguments)?;
        Ok(Value::Integer(i64::from(compiled.is_match(&value))))
    }),
    plain("wl_found", Type::TEXT, |arguments, _| {
        let (Some(value), Some(_)) = (arguments.text(0), arguments.text(1)) else { return Ok(Value::Null) };
        let compiled = compiled(arguments)?;
        let found = compiled.captures(&value).and_then(|found| found.get(1).or_else(|| found.get(0)));
        Ok(found.map_or(Value::Null, |found| Value::Text(found.as_str().to_owned())))
    }),
    plain("wl_regclass", Type::REGCLASS, regclass),
    plain("wl_regtype", Type::REGTYPE, regtype),
    plain("wl_regproc", Type::REGPROC, regproc),
    plain("wl_regnamespace", Type::REGNAMESPACE, regnamespace),
    plain("wl_regrole", Type::REGROLE, |arguments, world| {
        let name = arguments.text(0).unwrap_or_default();
        Ok(Value::Integer(i64::from(if name == world.listing.user { USER_OID } else { OWNER_OID })))
    }),
    system("wl_regclass_name", Type::TEXT, |arguments, world| {
        let Some(oid) = arguments.number(0) else { return Ok(Value::Null) };
        let released = world.listing.relation(oid).map(|found| (found.schema.as_str(), found.name.as_str()));
        let own = || relations().find(|own| i64::from(own.oid) == oid).map(|own| (own.schema, own.name));
        text(match released.or_else(own) {
            Some((schema, name)) if Listing::is_searched(schema) => quote_ident(name),
            Some((schema, name)) => format!("{}.{}", quote_ident(schema), quote_ident(name)),
            None if oid == 0 => "-".to_owned(),
            None => oid.to_string(),
        })
    }),
    system("wl_regtype_name", Type::TEXT, |arguments, _| {
        let Some(oid) = arguments.number(0) else { return Ok(Value::Null) };
        text(match sql_name(oid, None) {
            Some(name) => name,
            None if oid == 0 => "-".to_owned(),
            None => oid.to_string(),
        })
    }),
    system("wl_regproc_name", Type::TEXT, |arguments, _| {
        let Some(oid) = arguments.number(0) else { return Ok(Value::Null) };
        let found = PROCEDURES.iter().find(|(known, _)| i64::from(*known) == oid);
        text(found.map_or("-", |(_, name)| name))
    }),
    system("wl_regnamespace_name", Type::TEXT, |arguments, world| {
        let Some(oid) = arguments.number(0) else { return Ok(Value::Null) };
        text(world.listing.schema(oid).map_or_else(|| oid.to_string(), quote_ident))
    }),
    system("wl_regrole_name", Type::TEXT, |arguments, world| match arguments.number(0) {
        Some(oid) if oid == i64::from(USER_OID) => text(quote_ident(&world.listing.user)),
        Some(_) => text(OWNER),
        None => Ok(Value::Null),
    }),
];

/// The function of that name, or of the one that it goes by here.
pub(super) fn known(name: &str) -> Option<&'static Function> {
    let name = match name {
        "statement_timestamp" | "transaction_timestamp" | "clock_timestamp" | "current_timestamp" => "now",
        "pg_table_is_visible" => name,
        other if other.starts_with("pg_") && other.ends_with("_is_visible") => "pg_is_visible",
        other => other,
    };
    FUNCTIONS.iter().find(|function| function.name == name)
}

/// Gives every function to a database.
pub(super) fn register(database: &Connection, world: &Arc<World>) -> rusqlite::Result<()> {
    // What a question makes depends on more than its arguments.
    let flags = FunctionFlags::SQLITE_UTF8;
    for function in FUNCTIONS {
        let world = Arc::clone(world);
        let value = function.value;
        database.create_scalar_function(function.name, -1, flags, move |context| {
            value(&Arguments(context), &world).map_err(|message| rusqlite::Error::UserFunctionError(message.into()))
        })?;
    }
    Ok(())
}

fn text(text: impl Into<String>) -> Given {
    Ok(Value::Text(text.into()))
}

fn json(json: &Json) -> Given {
    text(json.to_string())
}

fn length(items: Option<Vec<Json>>) -> Given {
    let length = items.filter(|items| !items.is_empty()).and_then(|items| i64::try_from(items.len()).ok());
    Ok(length.map_or(Value::Null, Value::Integer))
}

fn comment(oid: Option<i64>, position: Option<i64>, world: &World) -> Given {
    let found = oid.filter(|_| position == Some(0)).and_then(|oid| world.listing.relation(oid));
    Ok(found.map_or(Value::Null, |relation| Value::Text(relation.comment.clone())))
}

fn own_relation(oid: i64) -> Option<&'static str> {
    relations().find(|own| i64::from(own.oid) == oid).map(|own| own.schema)
}

/// `"Quoted"` where a name needs it.
fn quote_ident(name: &str) -> String {
    let is_plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if is_plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// The parts of a name as SQL writes it.
fn parts(name: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut is_quoted = false;
    for character in name.trim().chars() {
        match (character, is_quoted) {
            ('"', _) => is_quoted = !is_quoted,
            ('.', false) => parts.push(String::new()),
            (other, quoted) => {
                if let Some(part) = parts.last_mut() {
                    if quoted { part.push(other) } else { part.extend(other.to_lowercase()) }
                }
            }
        }
    }
    parts
}

fn regclass(arguments: &Arguments<'_>, world: &World) -> Given {
    let Some(name) = arguments.text(0) else { return Ok(Value::Null) };
    if let Ok(oid) = name.parse::<i64>() {
        return Ok(Value::Integer(oid));
    }
    let parts = parts(&name);
    let (schema, table) = match parts.as_slice() {
        [table] => (None, table.as_str()),
        [.., schema, table] => (Some(schema.as_str()), table.as_str()),
        [] => (None, ""),
    };
    let own = relation(schema, table).map(|own| own.oid);
    let oid = own.or_else(|| world.listing.named(schema, table).map(|found| found.oid));
    let found = oid.map(|oid| Value::Integer(i64::from(oid)));
    found.ok_or_else(|| format!("there is no relation `{name}`"))
}

fn regtype(arguments: &Arguments<'_>, _: &World) -> Given {
    let Some(name) = arguments.text(0) else { return Ok(Value::Null) };
    if let Ok(oid) = name.parse::<i64>() {
        return Ok(Value::Integer(oid));
    }
    // A quoted name is a type's own; without quotes it may be what SQL calls the type.
    let own = if name.contains('"') { None } else { type_of_sql(&name.to_lowercase()) };
    let plain = parts(&name).pop().unwrap_or_default();
    let found = own.map(|of| i64::from(of.oid())).or_else(|| {
        TYPES.iter().find_map(|line| {
            let oid: i64 = line.first()?.parse().ok()?;
            (line.get(1) == Some(&plain.as_str()) || sql_name(oid, None).as_deref() == Some(&plain)).then_some(oid)
        })
    });
    found.map(Value::Integer).ok_or_else(|| format!("there is no type `{name}`"))
}

fn regproc(arguments: &Arguments<'_>, _: &World) -> Given {
    let Some(name) = arguments.text(0) else { return Ok(Value::Null) };
    let plain = parts(&name).pop().unwrap_or_default();
    let plain = plain.split('(').next().unwrap_or_default();
    let found = PROCEDURES.iter().find(|(_, known)| *known == plain).map(|(oid, _)| i64::from(*oid));
    found.map(Value::Integer).ok_or_else(|| format!("there is no function `{name}`"))
}

fn regnamespace(arguments: &Arguments<'_>, world: &World) -> Given {
    let Some(name) = arguments.text(0) else { return Ok(Value::Null) };
    let plain = parts(&name).pop().unwrap_or_default();
    let found = world.listing.schema_named(&plain).map(|oid| Value::Integer(i64::from(oid)));
    found.ok_or_else(|| format!("there is no schema `{name}`"))
}

fn pattern(written: &str, ignores_case: bool) -> Result<Regex, String> {
    let built = RegexBuilder::new(written).case_insensitive(ignores_case).size_limit(LARGEST_PATTERN).build();
    built.map_err(|_| format!("`{written}` is no pattern that is understood here"))
}

/// The second argument as a pattern, compiled once for all rows where it is the same for all.
fn compiled(arguments: &Arguments<'_>) -> Result<Arc<Regex>, String> {
    let written = arguments.text(1).unwrap_or_default();
    let ignores_case = arguments.number(2) == Some(1);
    let compiled = arguments.0.get_or_create_aux(1, |_| pattern(&written, ignores_case));
    compiled.map_err(|error| error.to_string())
}

/// An array that is written as PostgreSQL does, or is one of ours already.
fn array_literal(written: &str, numbers: bool) -> Option<Vec<Json>> {
    if let Ok(items) = serde_json::from_str(written) {
        return Some(items);
    }
    let items = elements(written)?.into_iter().map(|item| match item {
        None => Some(Json::Null),
        Some(number) if numbers => number.trim().parse::<i64>().ok().map(Json::from),
        Some(text) => Some(Json::from(text)),
    });
    items.collect()
}

fn array_text(items: &[Json]) -> String {
    let shown = items.iter().map(|item| match item {
        Json::Null => "NULL".to_owned(),
        Json::String(text) => array_element(text),
        other => other.to_string(),
    });
    format!("{{{}}}", shown.collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written_as_sql_has_them() {
        assert_eq!(parts("Health.\"Old.main\".x"), ["health", "Old.main", "x"]);
        assert_eq!(quote_ident("plain_1"), "plain_1");
        assert_eq!(quote_ident("Two \"x\""), "\"Two \"\"x\"\"\"");
    }
}
