//! What one asker is shown: released tables as relations of a database of PostgreSQL's.

use std::collections::{BTreeMap, BTreeSet};

use pgwire::api::Type;
use sha2::{Digest, Sha256};

use super::super::values::{modifier_of, type_of};
use super::definitions::{INFORMATION_SCHEMA, PG_CATALOG};
use crate::engine::ReleasedTable;

/// The schema that names are looked for in, after PostgreSQL's own.
pub(super) const DEFAULT_SCHEMA: &str = "unified";
pub(super) const DATABASE: &str = "wayleave";
pub(super) const DATABASE_OID: i32 = 16_384;
/// Whom everything belongs to.
pub(super) const OWNER: &str = "wayleave";
pub(super) const OWNER_OID: i32 = 10;
pub(super) const USER_OID: i32 = 16_385;
const FIRST_FREE_OID: u32 = 16_400;

/// What can be named, and by whom.
#[derive(Clone, Debug, Default)]
pub(super) struct Listing {
    pub user: String,
    /// Names of settings with their values.
    pub settings: BTreeMap<String, String>,
    /// Names with identifiers, PostgreSQL's own first.
    pub schemas: Vec<(i32, String)>,
    pub relations: Vec<Relation>,
}

/// A released table or view.
#[derive(Clone, Debug)]
pub(super) struct Relation {
    pub oid: i32,
    pub schema: String,
    pub schema_oid: i32,
    pub name: String,
    /// `r` for a table of an agency, `v` for a view over several.
    pub kind: &'static str,
    pub columns: Vec<Column>,
    pub comment: String,
}

#[derive(Clone, Debug)]
pub(super) struct Column {
    pub name: String,
    pub of: Type,
    /// `atttypmod`: precision and scale as PostgreSQL packs them.
    pub modifier: i32,
}

impl Listing {
    /// Tables under names that the engine takes: `agency.table`, and `"agency.schema".table` where an agency has two of that
    /// name.
    pub fn new(user: String, settings: BTreeMap<String, String>, released: Vec<ReleasedTable>) -> Self {
        let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
        for table in &released {
            *counts.entry((table.agency.clone(), table.table.clone())).or_default() += 1;
        }
        let schema_of = |table: &ReleasedTable| match counts.get(&(table.agency.clone(), table.table.clone())) {
            _ if table.agency == DATABASE => table.schema.clone(),
            Some(1) => table.agency.clone(),
            _ => format!("{}.{}", table.agency, table.schema),
        };
        let mut names: BTreeSet<String> = released.iter().map(schema_of).collect();
        names.insert(DEFAULT_SCHEMA.to_owned());
        let mut taken = BTreeSet::new();
        let mut schemas = vec![(11, PG_CATALOG.to_owned()), (13_207, INFORMATION_SCHEMA.to_owned())];
        schemas.extend(names.into_iter().map(|name| (identifier(&["schema", &name], &mut taken), name)));
        let oids: BTreeMap<String, i32> = schemas.iter().map(|(oid, name)| (name.clone(), *oid)).collect();
        let relations = released.into_iter().map(|table| {
            let schema = schema_of(&table);
            let columns = table.columns.iter().map(|(name, data_type)| Column {
                name: name.clone(),
                of: type_of(data_type),
                modifier: modifier_of(data_type),
            });
            Relation {
                oid: identifier(&["relation", &schema, &table.table], &mut taken),
                schema_oid: oids.get(&schema).copied().unwrap_or(0),
                kind: if table.agency == DATABASE { "v" } else { "r" },
                columns: columns.collect(),
                comment: format!("released under {}: {}", table.agreement, table.state),
                schema,
                name: table.table,
            }
        });
        let relations = relations.collect();
        Self { user, settings, schemas, relations }
    }

    pub fn relation(&self, oid: i64) -> Option<&Relation> {
        self.relations.iter().find(|relation| i64::from(relation.oid) == oid)
    }

    pub fn named(&self, schema: Option<&str>, name: &str) -> Option<&Relation> {
        let schema = schema.unwrap_or(DEFAULT_SCHEMA);
        self.relations.iter().find(|relation| relation.schema == schema && relation.name == name)
    }

    pub fn schema_named(&self, name: &str) -> Option<i32> {
        self.schemas.iter().find(|(_, known)| known == name).map(|(oid, _)| *oid)
    }

    pub fn schema(&self, oid: i64) -> Option<&str> {
        self.schemas.iter().find(|(known, _)| i64::from(*known) == oid).map(|(_, name)| name.as_str())
    }

    /// Whether a schema's names are found without it.
    pub fn is_searched(schema: &str) -> bool {
        matches!(schema, PG_CATALOG | DEFAULT_SCHEMA)
    }
}

/// An identifier that a name keeps from one connection to the next, as clients expect who remember it.
fn identifier(name: &[&str], taken: &mut BTreeSet<i32>) -> i32 {
    let digest = Sha256::digest(name.join("\u{0}").as_bytes());
    let hash = digest.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes));
    let room = i32::MAX.unsigned_abs() - FIRST_FREE_OID;
    let mut oid = i32::try_from(FIRST_FREE_OID + hash % room).unwrap_or(i32::MAX);
    while !taken.insert(oid) {
        oid = oid.checked_add(1).unwrap_or(i32::try_from(FIRST_FREE_OID).unwrap_or(i32::MAX));
    }
    oid
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::datatypes::DataType;

    use super::*;

    fn table(agency: &str, schema: &str, table: &str) -> ReleasedTable {
        ReleasedTable {
            agency: agency.to_owned(),
            schema: schema.to_owned(),
            table: table.to_owned(),
            columns: vec![("price".to_owned(), DataType::Decimal128(10, 2))],
            agreement: "a".to_owned(),
            state: "available".to_owned(),
        }
    }

    #[test]
    fn tables_are_listed_under_names_that_the_engine_takes() {
        let released = vec![
            table("health", "main", "patients"),
            table("health", "main", "visits"),
            table("health", "old", "visits"),
            table("wayleave", "unified", "clients"),
        ];
        let listing = Listing::new("ann".to_owned(), BTreeMap::new(), released.clone());
        let names: Vec<String> =
            listing.relations.iter().map(|r| format!("{}|{}|{}", r.schema, r.name, r.kind)).collect();
        assert_eq!(names, ["health|patients|r", "health.main|visits|r", "health.old|visits|r", "unified|clients|v"]);
        let again = Listing::new("bob".to_owned(), BTreeMap::new(), released.into_iter().rev().collect());
        let patients = |listing: &Listing| listing.named(Some("health"), "patients").unwrap().oid;
        assert_eq!(patients(&listing), patients(&again));
        let column = &listing.relations[0].columns[0];
        assert_eq!((&column.of, column.modifier), (&Type::NUMERIC, (10 << 16 | 2) + 4));
    }
}
