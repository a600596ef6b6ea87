//! What a statement takes and gives, with nothing sent: for protocols that describe before they run.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::ScalarValue;

use super::statement::parse;
use super::{Engine, answer, planning_error};
use crate::error::Error;
use crate::policy::Policy;
use crate::session::Session;
use crate::statements::Parameters;

/// What a statement takes and gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// The types of `$1` and those after it, where the statement says them.
    pub parameters: Vec<Option<DataType>>,
    pub schema: SchemaRef,
}

/// More than this no statement has that was meant to be one (PostgreSQL's own limit, as its protocol counts them).
const MOST_PARAMETERS: usize = 65_535;

impl Engine {
    /// Describes a statement: the types of its parameters and the columns of its answer. Names are resolved as a query's are,
    /// with the same refusals; agencies are asked for no row.
    ///
    /// # Errors
    /// As [`Engine::query`], but for what only the whole plan shows.
    pub async fn describe(&self, session: &Session, sql: &str) -> Result<Description, Error> {
        let (request, statement) = parse(sql, &self.base)?;
        if request.is_some() {
            return Ok(Description { parameters: Vec::new(), schema: answer::text_schema() });
        }
        let policy = self.policy_now().await?;
        let description = self.description(&policy, session, statement, &Parameters::of(sql)).await;
        let query_id = uuid::Uuid::now_v7().to_string();
        self.recorded(session, &query_id, sql, &policy, description).await
    }

    async fn description(
        &self,
        policy: &Arc<Policy>,
        session: &Session,
        statement: datafusion::sql::parser::Statement,
        written: &Parameters,
    ) -> Result<Description, Error> {
        let resolved = self.resolved(policy, session, statement).await?;
        let failed = |error| planning_error(&error, &resolved.names);
        let named = resolved.raw.get_parameter_types().map_err(failed)?;
        let mut types = BTreeMap::new();
        for (name, data_type) in named {
            let number = name.strip_prefix('$').and_then(|number| number.parse::<usize>().ok());
            let Some(number) = number.filter(|number| (1..=MOST_PARAMETERS).contains(number)) else {
                return Err(Error::Plan { message: format!("`{name}` is no parameter: they are $1, $2 and so on") });
            };
            types.insert(number, data_type);
        }
        let count = types.keys().next_back().copied().unwrap_or(0);
        let parameters = (1..=count).map(|number| match types.remove(&number).flatten() {
            // Of `= ANY($1)` the type of an element is found, if any is.
            Some(list @ DataType::List(_)) => Some(list),
            element if written.is_array(number) => Some(DataType::new_list(element.unwrap_or(DataType::Utf8), true)),
            other => other,
        });
        let parameters: Vec<Option<DataType>> = parameters.collect();
        let nulls = parameters
            .iter()
            .map(|data_type| data_type.as_ref().map_or(Ok(ScalarValue::Utf8(None)), ScalarValue::try_from));
        let nulls = nulls.collect::<Result<Vec<_>, _>>().map_err(failed)?;
        let raw = resolved.raw.clone();
        let bound = if nulls.is_empty() { raw } else { raw.with_param_values(nulls).map_err(failed)? };
        let plan = resolved.settled(bound)?;
        Ok(Description { parameters, schema: Arc::new(plan.schema().as_arrow().clone()) })
    }
}
