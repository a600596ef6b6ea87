//! Whole fragments, from the algebra to rows.

use wayleave_connector_api::{
    Audience, CompareOp, Dialect, Existence, Expr, Form, Fragment, KeyDisclosure, KeyFormat, KeySlot, NullsOrder,
    Probe, Relation, Scan, ScanReason, Scheme, SortDirection, SortKey, Support, Table, TableName, Value,
    render_fragment, render_policy_conjuncts,
};

use super::*;
use crate::PostgresDialect;

const SETUP: &str = r#"
CREATE TABLE patients (id int PRIMARY KEY, nhs text, name text, cost numeric(10,2), visits int8);
INSERT INTO patients VALUES (1, '943 476 5919', 'Ann', 10.50, 3), (2, '987 654 3210', 'Bob', 20.25, 5),
  (3, '401 023 2137', 'Cy', NULL, NULL), (4, 'none', 'Dee', 1, 1);
CREATE TABLE dissent (nhs text, until text);
INSERT INTO dissent VALUES ('987-654-3210', '2999-01-01'), ('943-476-5919', '2001-01-01'), ('401-023-2137', 'never');
"#;

const SPACED: KeyFormat = KeyFormat { scheme: Scheme::NhsNumber, form: Form::Spaced, assured: false };
const HYPHENATED: KeyFormat = KeyFormat { scheme: Scheme::NhsNumber, form: Form::Hyphenated, assured: false };

struct Agency {
    connector: PostgresConnector,
    patients: Table,
    dissent: Table,
}

async fn open(name: &str) -> Agency {
    let connector = agency(name, SETUP).await;
    let table = async |table| connector.table(&TableName::new("public", table)).await.unwrap().unwrap();
    let (patients, dissent) = (table("patients").await, table("dissent").await);
    Agency { connector, patients, dissent }
}

impl Agency {
    /// `nhs_number, name, cost, visits, id`, without those in the dissent register on the first of January 2024.
    fn released(&self) -> Relation {
        self.patients_where(vec![Expr::Exists { probe: Box::new(self.probe()), existence: Existence::Forbidden }])
    }

    fn patients_where(&self, policy: Vec<Expr>) -> Relation {
        let key = Expr::CanonicalKey { expr: Box::new(Expr::Column(1)), format: SPACED };
        Relation::Scan(Box::new(Scan {
            table: self.patients.name.clone(),
            columns: self.patients.columns.clone(),
            outputs: vec![key, Expr::Column(2), Expr::Column(3), Expr::Column(4), Expr::Column(0)],
            policy,
            lookups: Vec::new(),
            keys: None,
            reason: ScanReason::Released { agreement: "ISA-1".to_owned() },
        }))
    }

    fn probe(&self) -> Probe {
        let until = Expr::DateOf(Box::new(Expr::Column(1)));
        let today = Expr::Literal(Value::Date(19_723));
        Probe {
            table: self.dissent.name.clone(),
            columns: self.dissent.columns.clone(),
            predicates: vec![
                Expr::equal(
                    Expr::CanonicalKey { expr: Box::new(Expr::Column(0)), format: HYPHENATED },
                    Expr::CanonicalKey { expr: Box::new(Expr::Outer(1)), format: SPACED },
                ),
                Expr::Or(vec![
                    Expr::IsNull(Box::new(until.clone())),
                    Expr::compare(CompareOp::GreaterOrEqual, until, today),
                ]),
            ],
        }
    }

    async fn run(&self, root: Relation, types: &[DataType], keys: Option<&[String]>) -> RecordBatch {
        let fragment = Fragment { root, schema: schema(types) };
        let sql = render_fragment(&PostgresDialect, &fragment, keys, Audience::Source);
        for scan in fragment.root.scans() {
            for conjunct in render_policy_conjuncts(&PostgresDialect, scan) {
                assert!(sql.contains(&conjunct), "{conjunct} is missing from {sql}");
            }
        }
        collect(&self.connector, &sql, fragment.schema).await.unwrap_or_else(|error| panic!("{error:?}: {sql}"))
    }
}

fn ascending(expr: Expr) -> SortKey {
    SortKey { expr, direction: SortDirection::Ascending, nulls: NullsOrder::Last }
}

fn sorted(input: Relation, column: usize) -> Relation {
    Relation::Sort { input: Box::new(input), keys: vec![ascending(Expr::Column(column))], fetch: None }
}

fn project(input: Relation, columns: &[usize]) -> Relation {
    Relation::Project { input: Box::new(input), exprs: columns.iter().map(|index| Expr::Column(*index)).collect() }
}

fn some(texts: &[&str]) -> Vec<Option<String>> {
    texts.iter().map(|text| Some((*text).to_owned())).collect()
}

#[tokio::test]
async fn a_probe_of_a_register_decides_row_by_row() {
    let agency = open("probe").await;
    let exists = Expr::Exists { probe: Box::new(agency.probe()), existence: Existence::Forbidden };
    assert_eq!(PostgresDialect.support(&exists, &[]), Support::Exact);
    // Bob's dissent lasts, Cy's has no readable end; Ann's is over, and Dee's key is nobody's.
    let batch = agency.run(sorted(project(agency.released(), &[1]), 0), &[DataType::Utf8], None).await;
    assert_eq!(column_texts(&batch, 0), some(&["Ann", "Dee"]));
    let required = Expr::Exists { probe: Box::new(agency.probe()), existence: Existence::Required };
    let dissenting = agency.patients_where(vec![required]);
    let batch = agency.run(sorted(project(dissenting, &[1]), 0), &[DataType::Utf8], None).await;
    assert_eq!(column_texts(&batch, 0), some(&["Bob", "Cy"]));
}

#[tokio::test]
async fn keys_arrive_in_the_written_form_at_any_number() {
    let agency = open("key_slot").await;
    let mut keys: Vec<String> = (0..20_000).map(|number| format!("{number:010}")).collect();
    keys.extend(["9434765919", "9876543210"].map(str::to_owned));
    let mut all = agency.patients_where(Vec::new());
    if let Relation::Scan(scan) = &mut all {
        scan.keys = Some(KeySlot { column: 1, format: Some(SPACED), disclosure: KeyDisclosure::Plain, number: 0 });
    }
    let batch = agency.run(sorted(project(all, &[0]), 0), &[DataType::Utf8], Some(&keys)).await;
    assert_eq!(column_texts(&batch, 0), some(&["9434765919", "9876543210"]));
}
