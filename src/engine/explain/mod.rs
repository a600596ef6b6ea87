//! A plan in an analyst's words: what is done here, what each agency is asked, and, where the query was run, what came of it.
//!
//! In: a planned query, and what its run has measured. Out: an [`Explanation`], as text or as JSON. It holds no value of any
//! row; for the asker it tells nothing that withheld rows have a part in (`telling.rs`), and of policy's predicates no more
//! than the agreement that demands them.

mod counted;
mod expression;
mod glossary;
mod request;
mod telling;
mod text;
mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use serde::{Serialize, Serializer};
use wayleave_connector_api::{Audience, KeyDisclosure};

use super::answer::{Notice, agreements_of};
use crate::federate::{self, PlannedFragment, QueryRun};
use crate::policy::PassedOver;
use crate::policy::files::{Agreement, Consent, Decision};
use counted::Chains;
use expression::without_made_up_names;
use glossary::Glossary;
pub(super) use request::Request;
pub use request::{ExplainFormat, Run, Timing};
use telling::{Facts, Place, Release, Telling, Told, ToldOfOperator};
pub use tree::Does;
use tree::{Operator, Planter};

/// A planned query: whatever an explanation is made of.
pub(super) struct QueryPlan {
    /// As it was written, before anything had worked on it.
    pub raw: LogicalPlan,
    /// After DataFusion's optimizer.
    pub optimized: LogicalPlan,
    /// Rearranged, as it was carved.
    pub whole: LogicalPlan,
    /// With fragments in the place of what agencies answer.
    pub federated: LogicalPlan,
    pub physical: Arc<dyn ExecutionPlan>,
    pub fragments: Vec<PlannedFragment>,
    /// What no agency could do.
    pub kept: Vec<federate::Kept>,
    pub agreements: BTreeMap<String, Arc<Agreement>>,
    /// Of these, the ones whose consent is not asked.
    pub passed_over: BTreeMap<String, PassedOver>,
    /// Of the whole set under which it was planned.
    pub policy_hash: String,
    pub notices: Vec<Notice>,
    pub planning: Duration,
}

impl std::fmt::Debug for QueryPlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QueryPlan").field("fragments", &self.fragments.len()).finish_non_exhaustive()
    }
}

/// How a query is answered. Serializes to a JSON object of these very fields; times are in milliseconds, fields without a
/// value are left out, and fields may be added.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Explanation {
    /// The version of this form, 1. It changes where a field goes or changes its meaning.
    pub version: u32,
    /// What is done, from the answer down to the fragments.
    pub plan: Step,
    /// What each agency is asked, by number.
    pub fragments: Vec<FragmentPlan>,
    /// What no agency could do.
    pub kept: Vec<Kept>,
    pub agreements: Vec<AgreementPlan>,
    pub notices: Vec<String>,
    /// Of the whole query, where it was run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measured: Option<QueryNumbers>,
}

/// One operation of the plan.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Step {
    pub does: Does,
    pub words: String,
    /// The number of the fragment that this is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fragment: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measured: Option<Numbers<StepNumbers>>,
    /// In a keyed join the first is read first.
    pub inputs: Vec<Step>,
}

/// What one agency is asked.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct FragmentPlan {
    /// Counted from 1.
    pub number: usize,
    pub agency: String,
    /// Other agencies whose tables it reads in the same server.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shared_with: Vec<String>,
    pub role: Role,
    /// Released tables that it reads, as `schema.table`.
    pub tables: Vec<String>,
    /// Ids of the agreements under which its rows are released.
    pub agreements: Vec<String>,
    pub consent: Vec<ConsentPlan>,
    /// Agencies whose subject keys narrow it.
    pub keys_from: Vec<KeysFrom>,
    /// The SQL: as it runs for the operator; for the asker policy's predicates are named by their agreement, and how a
    /// register is read is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sql: Option<String>,
    /// For the operator alone: it follows the source's statistics, which count withheld rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimated_rows: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measured: Option<Numbers<FragmentNumbers>>,
}

/// What a fragment is read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Its rows are released.
    Released,
    /// It says which persons have consented or refused.
    Register,
}

/// The consent rule of one agreement.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct ConsentPlan {
    pub agreement: String,
    /// Names of registers; none where consent is not required.
    pub registers: Vec<String>,
    pub rule: &'static str,
}

/// Keys that go with a fragment.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct KeysFrom {
    pub agency: String,
    /// Ids of the agreements that disclose them.
    pub under: Vec<String>,
    /// Whether they go as pseudonyms; left out where they go as they are.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub pseudonymised: bool,
}

/// Something that no agency could do, and why.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Kept {
    /// Over whose rows it is done here; none where rows of several meet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agency: Option<String>,
    pub what: String,
    pub why: String,
}

#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct AgreementPlan {
    pub id: String,
    pub title: String,
    pub owner: String,
}

/// Numbers, or that they are not told: `"withheld"` in JSON.
#[derive(Clone, Debug, PartialEq)]
pub enum Numbers<T> {
    Told(T),
    /// They could tell of rows that are not released.
    Withheld,
}

impl<T: Serialize> Serialize for Numbers<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Told(numbers) => numbers.serialize(serializer),
            Self::Withheld => serializer.serialize_str("withheld"),
        }
    }
}

/// Of an operation that was run here.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct StepNumbers {
    /// Rows that came out of it.
    pub rows: u64,
    /// Time that it computed, over all threads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compute_ms: Option<f64>,
}

/// Of a fragment that was read.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct FragmentNumbers {
    pub rows: u64,
    /// Bytes of its values in Arrow's form. Not told where a pseudonym takes a value's place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Distinct keys that it received, where it receives keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys: Option<u64>,
    /// Statements sent; for the operator alone, since a table's size may decide how many there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statements: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_row_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_ms: Option<f64>,
}

/// Of the whole query.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct QueryNumbers {
    /// Rows of the answer.
    pub rows: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub planning_ms: Option<f64>,
}

impl Explanation {
    /// For people: a tree and what stands behind it, a line a line.
    pub fn text(&self) -> String {
        text::write(self)
    }

    /// One JSON object over several lines.
    pub fn json(&self) -> String {
        // No map has keys but texts, and no number is refused: this cannot fail.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// In either form.
    pub fn written(&self, format: ExplainFormat) -> String {
        match format {
            ExplainFormat::Text => self.text(),
            ExplainFormat::Json => self.json(),
        }
    }

    /// The same without times, which no two runs share.
    #[must_use]
    pub fn timed(mut self, timing: Timing) -> Self {
        if timing == Timing::Hidden {
            untime(&mut self.plan);
            for fragment in &mut self.fragments {
                if let Some(Numbers::Told(numbers)) = &mut fragment.measured {
                    (numbers.first_row_ms, numbers.total_ms) = (None, None);
                }
            }
            if let Some(numbers) = &mut self.measured {
                (numbers.total_ms, numbers.planning_ms) = (None, None);
            }
        }
        self
    }
}

fn untime(step: &mut Step) {
    if let Some(Numbers::Told(numbers)) = &mut step.measured {
        numbers.compute_ms = None;
    }
    step.inputs.iter_mut().for_each(untime);
}

impl QueryPlan {
    /// What a query would do, or, where it was run to its end, has done.
    pub fn explanation(&self, audience: Audience, run: Option<&QueryRun>) -> Explanation {
        let ended = run.and_then(|run| Some((run, run.completed()?)));
        let glossary = Glossary::of(&self.raw, [&self.optimized, &self.whole]);
        let chains = ended.map(|_| Chains::of(&self.physical));
        let root = Planter { glossary: &glossary, fragments: &self.fragments, chains }.tree(&self.federated);
        let facts: BTreeMap<u64, Facts> = self
            .fragments
            .iter()
            .map(|fragment| {
                let measured = ended.and_then(|(run, _)| run.measured(fragment.id));
                (fragment.id, Facts { counting: fragment.counting, release: self.release(fragment), measured })
            })
            .collect();
        let measured = ended.map(|(run, total)| {
            let telling = Telling::to(audience, &root, &facts);
            (
                Measurements { telling, facts: &facts },
                QueryNumbers {
                    rows: run.returned(),
                    total_ms: Some(milliseconds(total)),
                    planning_ms: Some(milliseconds(self.planning)),
                },
            )
        });
        let (told, measured) = measured.unzip();
        let mut plan = self.step(&root, Place::Released, told.as_ref());
        // The answer's rows are the asker's to count, whatever they were made of.
        plan.measured =
            measured.as_ref().map(|numbers| Numbers::Told(StepNumbers { rows: numbers.rows, compute_ms: None }));
        Explanation {
            version: 1,
            plan,
            fragments: self
                .fragments
                .iter()
                .enumerate()
                .map(|(position, fragment)| self.fragment(position + 1, fragment, audience, told.as_ref()))
                .collect(),
            kept: self.kept.iter().map(|kept| kept_here(kept, &glossary)).collect(),
            agreements: self
                .agreements
                .values()
                .map(|agreement| AgreementPlan {
                    id: agreement.id.clone(),
                    title: agreement.title.clone(),
                    owner: agreement.owner.clone(),
                })
                .collect(),
            notices: self.notices.iter().map(ToString::to_string).collect(),
            measured,
        }
    }

    fn step(&self, operator: &Operator, place: Place, told: Option<&Measurements<'_>>) -> Step {
        let number = operator.fragment.and_then(|id| self.fragments.iter().position(|fragment| fragment.id == id));
        let counted = match operator.fragment {
            Some(id) => told.and_then(|told| told.rows(id)),
            None => operator
                .counted
                .map(|counted| StepNumbers { rows: counted.rows, compute_ms: counted.compute.map(milliseconds) }),
        };
        let measured = told.and_then(|told| match told.telling.of_operator(operator, place) {
            ToldOfOperator::Nothing => Some(Numbers::Withheld),
            ToldOfOperator::Rows => counted.map(|counted| Numbers::Told(StepNumbers { compute_ms: None, ..counted })),
            ToldOfOperator::RowsAndTime => counted.map(Numbers::Told),
        });
        let below = place.below(operator);
        Step {
            does: operator.does,
            words: operator.words.clone(),
            fragment: number.map(|position| position + 1),
            measured,
            inputs: operator.inputs.iter().map(|input| self.step(input, below, told)).collect(),
        }
    }

    fn release(&self, fragment: &PlannedFragment) -> Release {
        let ruled = |id: &String| self.agreements.get(id).is_none_or(|agreement| agreement.output.is_some());
        let mut agreements = fragment.origins.iter().map(|origin| &origin.agreement);
        if agreements.any(ruled) { Release::AggregatesOnly } else { Release::Rows }
    }

    fn fragment(
        &self,
        number: usize,
        fragment: &PlannedFragment,
        audience: Audience,
        told: Option<&Measurements<'_>>,
    ) -> FragmentPlan {
        let agreements = agreements_of(fragment);
        let role = if agreements.is_empty() { Role::Register } else { Role::Released };
        let tables: BTreeSet<String> = fragment.origins.iter().map(|origin| origin.table.clone()).collect();
        let sql = match (audience, role) {
            (Audience::Source, _) => Some(fragment.sql.clone()),
            (Audience::Asker, Role::Released) => Some(fragment.asker_sql.clone()),
            // Where and how a register is kept is not the asker's to know.
            (Audience::Asker, Role::Register) => None,
        };
        FragmentPlan {
            number,
            agency: fragment.agency.clone(),
            shared_with: fragment.agencies().into_iter().skip(1).collect(),
            role,
            tables: tables.into_iter().collect(),
            consent: agreements
                .iter()
                .filter_map(|id| self.agreements.get(id))
                .map(|agreement| consent(agreement, self.passed_over.get(&agreement.id)))
                .collect(),
            agreements,
            keys_from: fragment
                .keys_from
                .iter()
                .map(|(agency, disclosure)| KeysFrom {
                    agency: agency.clone(),
                    under: fragment.keys_under.get(agency).into_iter().flatten().cloned().collect(),
                    pseudonymised: *disclosure == KeyDisclosure::Pseudonymised,
                })
                .collect(),
            sql,
            estimated_rows: match audience {
                Audience::Source => format!("{:.0}", fragment.estimated_rows.max(0.0)).parse().ok(),
                Audience::Asker => None,
            },
            measured: told.map(|told| told.numbers(fragment, audience)),
        }
    }
}

/// What was measured, and what may be told of it.
struct Measurements<'a> {
    telling: Telling,
    facts: &'a BTreeMap<u64, Facts>,
}

impl Measurements<'_> {
    fn rows(&self, fragment: u64) -> Option<StepNumbers> {
        let measured = self.facts.get(&fragment)?.measured.unwrap_or_default();
        Some(StepNumbers { rows: measured.rows, compute_ms: None })
    }

    fn numbers(&self, fragment: &PlannedFragment, audience: Audience) -> Numbers<FragmentNumbers> {
        let told = self.telling.of_fragment(fragment.id);
        if told == Told::Nothing {
            return Numbers::Withheld;
        }
        let measured = self.facts.get(&fragment.id).and_then(|facts| facts.measured);
        let read = measured.unwrap_or_default();
        Numbers::Told(FragmentNumbers {
            rows: read.rows,
            bytes: (told == Told::All).then_some(read.bytes),
            keys: (!fragment.keys_from.is_empty()).then_some(read.keys),
            statements: (audience == Audience::Source).then_some(read.statements),
            first_row_ms: read.first_row.map(milliseconds),
            total_ms: measured.map(|measured| milliseconds(measured.total)),
        })
    }
}

fn kept_here(kept: &federate::Kept, glossary: &Glossary) -> Kept {
    Kept { agency: kept.agency.clone(), what: without_made_up_names(&kept.what, glossary), why: kept.why.clone() }
}

fn consent(agreement: &Agreement, passed_over: Option<&PassedOver>) -> ConsentPlan {
    let (registers, rule) = match &agreement.consent {
        Consent::Required { .. } if let Some(passed_over) = passed_over => match passed_over {
            PassedOver::Override { .. } => (Vec::new(), "consent is overridden"),
            PassedOver::BreakGlass { .. } => (Vec::new(), "the glass is broken: consent is not asked"),
        },
        Consent::NotRequired => (Vec::new(), "consent is not required"),
        Consent::Required { registers, no_information: Decision::Permit, .. } => {
            (registers.clone(), "persons who refused are withheld")
        }
        Consent::Required { registers, no_information: Decision::Deny, .. } => {
            (registers.clone(), "only persons who consented are released")
        }
    };
    ConsentPlan { agreement: agreement.id.clone(), registers, rule }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}
