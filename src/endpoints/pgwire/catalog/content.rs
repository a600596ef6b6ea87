//! Rows of the catalogs' relations, made of what one asker is shown. Relations that are not here have none.

use std::collections::BTreeMap;

use pgwire::api::Type;
use rusqlite::types::Value;
use serde_json::Value as Json;

use super::super::arrays::array_element;
use super::definitions::{Definition, FUNCTIONS, INFORMATION_SCHEMA, PG_CATALOG, TYPES, relations, sql_name};
use super::listing::{Column, DATABASE, DATABASE_OID, Listing, OWNER, OWNER_OID, Relation, USER_OID};

/// Values by column; what is not given is what PostgreSQL has where nothing is said.
type Row<'a> = Vec<(&'a str, Value)>;

/// A relation's rows, each with a value for every column.
pub(super) fn rows(definition: &Definition, listing: &Listing) -> Vec<Vec<Value>> {
    let given = match definition.schema {
        INFORMATION_SCHEMA => of_information_schema(definition.name, listing),
        _ => of_pg_catalog(definition.name, listing),
    };
    let whole = given.into_iter().map(|row| {
        let mut row: BTreeMap<&str, Value> = row.into_iter().collect();
        let columns = definition.columns.iter();
        columns.map(|(column, of)| row.remove(column).unwrap_or_else(|| unsaid(definition, of))).collect()
    });
    whole.collect()
}

fn unsaid(definition: &Definition, of: &Type) -> Value {
    match *of {
        _ if definition.schema != PG_CATALOG || definition.kind == "v" => Value::Null,
        Type::BOOL | Type::INT2 | Type::INT4 | Type::INT8 | Type::OID | Type::REGPROC | Type::FLOAT4 => number(0),
        Type::CHAR => text(""),
        _ => Value::Null,
    }
}

fn text(text: impl Into<String>) -> Value {
    Value::Text(text.into())
}

fn number(number: impl Into<i64>) -> Value {
    Value::Integer(number.into())
}

/// `YES` or `NO`, as the standard writes a truth.
fn yes(truth: bool) -> Value {
    text(if truth { "YES" } else { "NO" })
}

/// Every relation there is with its columns: PostgreSQL's own, and what is released.
fn all_relations(listing: &Listing) -> Vec<Relation> {
    let own = relations().map(|definition| Relation {
        oid: definition.oid,
        schema: definition.schema.to_owned(),
        schema_oid: listing.schema_named(definition.schema).unwrap_or(0),
        name: definition.name.to_owned(),
        kind: definition.kind,
        columns: definition
            .columns
            .iter()
            .map(|(name, of)| Column { name: (*name).to_owned(), of: of.clone(), modifier: -1 })
            .collect(),
        comment: String::new(),
    });
    own.chain(listing.relations.iter().cloned()).collect()
}

fn of_pg_catalog<'a>(relation: &str, listing: &'a Listing) -> Vec<Row<'a>> {
    match relation {
        "pg_namespace" => {
            let rows = listing.schemas.iter().map(|(oid, name)| {
                vec![("oid", number(*oid)), ("nspname", text(name)), ("nspowner", number(OWNER_OID))]
            });
            rows.collect()
        }
        "pg_class" => all_relations(listing).into_iter().map(|relation| class(relation, listing)).collect(),
        "pg_attribute" => all_relations(listing).iter().flat_map(attributes).collect(),
        "pg_type" => TYPES.iter().map(|line| type_row(line)).collect(),
        "pg_proc" => {
            let rows = FUNCTIONS.iter().map(|(oid, name)| {
                vec![
                    ("oid", number(*oid)),
                    ("proname", text(*name)),
                    ("pronamespace", number(11)),
                    ("proowner", number(OWNER_OID)),
                    ("prolang", number(12)),
                    ("prokind", text("f")),
                    ("proargtypes", text("[]")),
                ]
            });
            rows.collect()
        }
        "pg_description" => {
            let rows = listing.relations.iter().map(|relation| {
                vec![
                    ("objoid", number(relation.oid)),
                    ("classoid", number(1259)),
                    ("description", text(&relation.comment)),
                ]
            });
            rows.collect()
        }
        "pg_database" => vec![vec![
            ("oid", number(DATABASE_OID)),
            ("datname", text(DATABASE)),
            ("datdba", number(OWNER_OID)),
            ("encoding", number(6)),
            ("datlocprovider", text("c")),
            ("datallowconn", number(1)),
            ("datconnlimit", number(-1)),
            ("dattablespace", number(1663)),
            ("datcollate", text("C")),
            ("datctype", text("C")),
        ]],
        "pg_tablespace" => {
            vec![vec![("oid", number(1663)), ("spcname", text("pg_default")), ("spcowner", number(OWNER_OID))]]
        }
        "pg_am" => vec![vec![("oid", number(2)), ("amname", text("heap")), ("amtype", text("t"))]],
        "pg_language" => {
            vec![vec![("oid", number(12)), ("lanname", text("internal")), ("lanowner", number(OWNER_OID))]]
        }
        "pg_collation" => [(100, "default", "d"), (950, "C", "c"), (951, "POSIX", "c")]
            .map(|(oid, name, provider)| {
                vec![
                    ("oid", number(oid)),
                    ("collname", text(name)),
                    ("collnamespace", number(11)),
                    ("collowner", number(OWNER_OID)),
                    ("collprovider", text(provider)),
                    ("collisdeterministic", number(1)),
                    ("collencoding", number(-1)),
                ]
            })
            .to_vec(),
        "pg_authid" | "pg_roles" => [(OWNER_OID, OWNER), (USER_OID, listing.user.as_str())]
            .map(|(oid, name)| {
                vec![
                    ("oid", number(oid)),
                    ("rolname", text(name)),
                    ("rolsuper", number(0)),
                    ("rolinherit", number(1)),
                    ("rolcreaterole", number(0)),
                    ("rolcreatedb", number(0)),
                    ("rolcanlogin", number(i64::from(oid == USER_OID))),
                    ("rolreplication", number(0)),
                    ("rolbypassrls", number(0)),
                    ("rolconnlimit", number(-1)),
                ]
            })
            .to_vec(),
        "pg_user" => vec![vec![
            ("usename", text(&listing.user)),
            ("usesysid", number(USER_OID)),
            ("usecreatedb", number(0)),
            ("usesuper", number(0)),
            ("userepl", number(0)),
            ("usebypassrls", number(0)),
        ]],
        "pg_settings" => {
            let rows = listing.settings.iter().map(|(name, value)| {
                vec![
                    ("name", text(name)),
                    ("setting", text(value)),
                    ("context", text("user")),
                    ("vartype", text("string")),
                    ("source", text("default")),
                ]
            });
            rows.collect()
        }
        "pg_tables" => of_kind(listing, "r", |relation| {
            vec![
                ("schemaname", text(&relation.schema)),
                ("tablename", text(&relation.name)),
                ("tableowner", text(OWNER)),
                ("hasindexes", number(0)),
                ("hasrules", number(0)),
                ("hastriggers", number(0)),
                ("rowsecurity", number(0)),
            ]
        }),
        "pg_views" => of_kind(listing, "v", |relation| {
            vec![
                ("schemaname", text(&relation.schema)),
                ("viewname", text(&relation.name)),
                ("viewowner", text(OWNER)),
                ("definition", text("")),
            ]
        }),
        _ => Vec::new(),
    }
}

fn of_kind<'a>(listing: &Listing, kind: &str, row: impl Fn(&Relation) -> Row<'a>) -> Vec<Row<'a>> {
    let all = all_relations(listing);
    all.iter().filter(|relation| relation.kind == kind).map(row).collect()
}

fn class<'a>(relation: Relation, listing: &Listing) -> Row<'a> {
    let count = i64::try_from(relation.columns.len()).unwrap_or(0);
    vec![
        ("oid", number(relation.oid)),
        ("relname", text(relation.name)),
        ("relnamespace", number(relation.schema_oid)),
        ("relowner", number(OWNER_OID)),
        // How many rows there are is nobody's to know before asking: PostgreSQL has -1 for what it does not know.
        ("reltuples", number(-1)),
        ("relpersistence", text("p")),
        ("relkind", text(relation.kind)),
        ("relnatts", number(count)),
        ("relispopulated", number(1)),
        ("relreplident", text("d")),
        // Whoever asks may read, and nobody may do more.
        ("relacl", text(Json::from(vec![format!("{}=r/{OWNER}", array_element(&listing.user))]).to_string())),
    ]
}

fn attributes<'a>(relation: &Relation) -> Vec<Row<'a>> {
    let rows = (1_i64..).zip(&relation.columns).map(|(position, column)| {
        let oid = i64::from(column.of.oid());
        let of_type = TYPES.iter().find(|line| line.first().and_then(|text| text.parse().ok()) == Some(oid));
        let part = |at: usize| of_type.and_then(|line| line.get(at)).copied().unwrap_or_default();
        vec![
            ("attrelid", number(relation.oid)),
            ("attname", text(&column.name)),
            ("atttypid", number(oid)),
            ("attstattarget", number(-1)),
            ("attlen", number(part(2).parse::<i64>().unwrap_or(-1))),
            ("attnum", number(position)),
            ("attcacheoff", number(-1)),
            ("atttypmod", number(column.modifier)),
            ("attbyval", number(i64::from(part(3) == "t"))),
            ("attalign", text(part(7))),
            ("attstorage", text(part(8))),
            ("attislocal", number(1)),
            ("attcollation", number(part(12).parse::<i64>().unwrap_or(0))),
        ]
    });
    rows.collect()
}

fn type_row<'a>(line: &[&str]) -> Row<'a> {
    let part = |at: usize| line.get(at).copied().unwrap_or_default();
    let whole = |at: usize| number(part(at).parse::<i64>().unwrap_or(0));
    let truth = |at: usize| number(i64::from(part(at) == "t"));
    let function = |at: usize| {
        let found = FUNCTIONS.iter().find(|(_, name)| *name == part(at));
        number(found.map_or(0, |(oid, _)| i64::from(*oid)))
    };
    vec![
        ("oid", whole(0)),
        ("typname", text(part(1))),
        ("typnamespace", number(11)),
        ("typowner", number(OWNER_OID)),
        ("typlen", whole(2)),
        ("typbyval", truth(3)),
        ("typtype", text(part(4))),
        ("typcategory", text(part(5))),
        ("typispreferred", truth(6)),
        ("typisdefined", number(1)),
        ("typdelim", text(if matches!(part(1), "box" | "_box") { ";" } else { "," })),
        ("typalign", text(part(7))),
        ("typstorage", text(part(8))),
        ("typelem", whole(9)),
        ("typarray", whole(10)),
        ("typbasetype", whole(11)),
        ("typtypmod", number(-1)),
        ("typcollation", whole(12)),
        ("typinput", function(13)),
        ("typoutput", function(14)),
        ("typreceive", function(15)),
        ("typsend", function(16)),
    ]
}

fn of_information_schema<'a>(relation: &str, listing: &'a Listing) -> Vec<Row<'a>> {
    let may_read = |prefix: &[(&'static str, &str)]| -> Row<'a> {
        let mut row: Row<'a> = prefix.iter().map(|(column, value)| (*column, text(*value))).collect();
        row.extend([
            ("grantor", text(OWNER)),
            ("grantee", text(&listing.user)),
            ("table_catalog", text(DATABASE)),
            ("privilege_type", text("SELECT")),
            ("is_grantable", yes(false)),
            ("with_hierarchy", yes(false)),
        ]);
        row
    };
    match relation {
        "information_schema_catalog_name" => vec![vec![("catalog_name", text(DATABASE))]],
        "schemata" => {
            let rows = listing.schemas.iter().map(|(_, name)| {
                vec![("catalog_name", text(DATABASE)), ("schema_name", text(name)), ("schema_owner", text(OWNER))]
            });
            rows.collect()
        }
        "tables" => {
            let rows = all_relations(listing).into_iter().map(|relation| {
                let kind = if relation.kind == "r" { "BASE TABLE" } else { "VIEW" };
                vec![
                    ("table_catalog", text(DATABASE)),
                    ("table_schema", text(relation.schema)),
                    ("table_name", text(relation.name)),
                    ("table_type", text(kind)),
                    ("is_insertable_into", yes(false)),
                    ("is_typed", yes(false)),
                ]
            });
            rows.collect()
        }
        "views" => of_kind(listing, "v", |relation| {
            vec![
                ("table_catalog", text(DATABASE)),
                ("table_schema", text(&relation.schema)),
                ("table_name", text(&relation.name)),
                ("check_option", text("NONE")),
                ("is_updatable", yes(false)),
                ("is_insertable_into", yes(false)),
            ]
        }),
        "columns" => all_relations(listing).iter().flat_map(columns).collect(),
        "table_privileges" | "role_table_grants" => {
            let rows = listing.relations.iter().map(|relation| {
                may_read(&[("table_schema", relation.schema.as_str()), ("table_name", relation.name.as_str())])
            });
            rows.collect()
        }
        "column_privileges" | "role_column_grants" => {
            let columns =
                listing.relations.iter().flat_map(|relation| relation.columns.iter().map(move |c| (relation, c)));
            let rows = columns.map(|(relation, column)| {
                may_read(&[
                    ("table_schema", relation.schema.as_str()),
                    ("table_name", relation.name.as_str()),
                    ("column_name", column.name.as_str()),
                ])
            });
            rows.collect()
        }
        "enabled_roles" => vec![vec![("role_name", text(&listing.user))]],
        "character_sets" => vec![vec![
            ("character_set_name", text("UTF8")),
            ("character_repertoire", text("UCS")),
            ("form_of_use", text("UTF8")),
            ("default_collate_catalog", text(DATABASE)),
            ("default_collate_schema", text(PG_CATALOG)),
            ("default_collate_name", text("C")),
        ]],
        _ => Vec::new(),
    }
}

/// `information_schema.columns`, by the standard's own names of types.
fn columns<'a>(relation: &Relation) -> Vec<Row<'a>> {
    let rows = (1_i64..).zip(&relation.columns).map(|(position, column)| {
        let oid = i64::from(column.of.oid());
        let is_array = column.of.name().starts_with('_');
        let named = if is_array { Some("ARRAY".to_owned()) } else { sql_name(oid, None) };
        let precision = match column.of {
            Type::INT2 => Some((16, 2, 0)),
            Type::INT4 => Some((32, 2, 0)),
            Type::INT8 => Some((64, 2, 0)),
            Type::NUMERIC if column.modifier >= 4 => {
                Some(((column.modifier - 4) >> 16, 10, (column.modifier - 4) & 0xffff))
            }
            _ => None,
        };
        let float = match column.of {
            Type::FLOAT4 => Some(24),
            Type::FLOAT8 => Some(53),
            _ => None,
        };
        let moment = match column.of {
            Type::DATE => Some(0),
            Type::TIME | Type::TIMESTAMP | Type::TIMESTAMPTZ => Some(6),
            _ => None,
        };
        let whole = |value: Option<i32>| value.map_or(Value::Null, number);
        vec![
            ("table_catalog", text(DATABASE)),
            ("table_schema", text(&relation.schema)),
            ("table_name", text(&relation.name)),
            ("column_name", text(&column.name)),
            ("ordinal_position", number(position)),
            ("is_nullable", yes(true)),
            ("data_type", named.map_or(Value::Null, text)),
            ("numeric_precision", whole(precision.map(|(digits, ..)| digits).or(float))),
            ("numeric_precision_radix", whole(precision.map(|(_, radix, _)| radix).or(float.map(|_| 2)))),
            ("numeric_scale", whole(precision.map(|(.., scale)| scale))),
            ("datetime_precision", whole(moment)),
            ("udt_catalog", text(DATABASE)),
            ("udt_schema", text(PG_CATALOG)),
            ("udt_name", text(column.of.name())),
            ("dtd_identifier", text(position.to_string())),
            ("is_self_referencing", yes(false)),
            ("is_identity", yes(false)),
            ("is_generated", text("NEVER")),
            ("is_updatable", yes(false)),
        ]
    });
    rows.collect()
}
