//! Registers that are looked into row by row: what policy asks of a source, whatever its columns' own idea of equality.

use arrow::datatypes::DataType;
use wayleave_connector_api::{Existence, Expr, Form, KeyFormat, Probe, Relation, Scheme, Support, Value};

use super::Kind;
use super::answer::{answer, rows};
use super::fixture::{Fixture, Settings, excuses};
use super::kind::Order;
use super::table::TableSpec;
use super::world::{described, scan};

/// Where texts are not compared at the source, registers are looked into here.
const BY_TEXT: &str = "equal over text by bytes";

const OPAQUE: KeyFormat = KeyFormat { scheme: Scheme::Opaque, form: Form::Compact, assured: false };
const SPACED: KeyFormat = KeyFormat { scheme: Scheme::NhsNumber, form: Form::Spaced, assured: false };
const HYPHENATED: KeyFormat = KeyFormat { form: Form::Hyphenated, ..SPACED };

const PERSONS: [&str; 9] = ["ann", "Ann", "bob", "bob ", "émile", "emile", "", "943 476 5919", "987 654 3210"];
const CONSENTS: [&str; 6] = ["ann", "BOB", "bob", "Émile", "", "943-476-5919"];

/// Nobody has another's consent, between columns of any two orders.
pub async fn a_register_is_probed_by_bytes(fixture: &dyn Fixture) {
    let orders = [Order::Bytes, Order::Language, Order::Loose];
    let kinds: Vec<Kind> = orders.into_iter().map(Kind::Text).filter(|kind| fixture.declare(*kind).is_some()).collect();
    let texts = |name: &str, kind: Kind, texts: &[&str]| {
        let table = TableSpec::new(name, &[("reference", kind)]);
        let values = texts.iter().map(|text| Value::Text((*text).to_owned()));
        values.chain([Value::Null(DataType::Utf8)]).fold(table, |table, value| table.with([value]))
    };
    let mut tables = Vec::new();
    for (index, kind) in kinds.iter().enumerate() {
        tables.push(texts(&format!("person{index}"), *kind, &PERSONS));
        tables.push(texts(&format!("consent{index}"), *kind, &CONSENTS));
    }
    let database = fixture.database("probe", &tables).await;
    let connector = database.connector(Settings::default());
    let key = |expr: Expr, format| Expr::CanonicalKey { expr: Box::new(expr), format };
    for (person, register) in (0..kinds.len()).flat_map(|one| (0..kinds.len()).map(move |other| (one, other))) {
        let consent = described(&*connector, &*database, &format!("consent{register}")).await;
        let persons = described(&*connector, &*database, &format!("person{person}")).await;
        let (theirs, mine) = (Expr::Column(0), Expr::Outer(0));
        for (left, right, given) in [
            (theirs.clone(), mine.clone(), &["", "ann", "bob"][..]),
            (mine.clone(), theirs.clone(), &["", "ann", "bob"]),
            (key(theirs.clone(), OPAQUE), key(mine.clone(), OPAQUE), &["ann", "bob"]),
            (key(theirs.clone(), OPAQUE), mine.clone(), &["ann", "bob"]),
            (mine.clone(), key(theirs.clone(), OPAQUE), &["ann", "bob"]),
            (key(theirs.clone(), HYPHENATED), key(mine.clone(), SPACED), &["943 476 5919"]),
        ] {
            for existence in [Existence::Required, Existence::Forbidden] {
                let predicates = vec![Expr::equal(left.clone(), right.clone())];
                let probe = Probe { table: consent.name.clone(), columns: consent.columns.clone(), predicates };
                let exists = Expr::Exists { probe: Box::new(probe), existence };
                let mut root = scan(&persons);
                let Relation::Scan(released) = &mut root else { panic!("{root:?}") };
                let support = connector.dialect().support(&exists, &released.base_columns());
                let plain = Expr::equal(Expr::Column(0), Expr::Column(0));
                let compared = connector.dialect().support(&plain, &released.base_columns());
                if matches!(compared, Support::Local { .. }) && !excuses(fixture, BY_TEXT).is_empty() {
                    assert!(
                        matches!(support, Support::Local { .. }),
                        "{exists:?} goes down, though texts are not compared"
                    );
                    continue;
                }
                assert_eq!(support, Support::Exact, "{exists:?}");
                released.policy = vec![exists];
                let mut found = rows(&answer(&*connector, root, None).await);
                let mut expected: Vec<&str> = match existence {
                    Existence::Required => given.to_vec(),
                    Existence::Forbidden => {
                        PERSONS.into_iter().chain(["NULL"]).filter(|person| !given.contains(person)).collect()
                    }
                };
                expected.sort_unstable();
                found.sort_unstable();
                let orders = (kinds[person].name(), kinds[register].name());
                assert_eq!(found, expected, "{existence:?} of {left:?} and {right:?} in {orders:?}");
            }
        }
    }
}
