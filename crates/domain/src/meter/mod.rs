//! Meters: which events count, what they count, and how they add up.

mod aggregation;
mod definition;
mod filter;
mod fold;
mod json_path;
mod judging;
mod life;
mod metered;
mod plan;
mod value;

pub use aggregation::{Accumulator, Aggregation, Sample};
pub use definition::{
    DescriptionUpdate, Meter, MeterDefinition, MeterFault, MeterUpdate, valid_group_by_key, valid_slug,
};
pub use filter::{Filter, LikePattern};
pub use fold::fold;
pub use json_path::{JsonPath, JsonPathError, Step};
pub use judging::{
    ActivePeriod, Condition, Judging, LazyFacts, MAX_ACTIVE_PERIODS, MAX_CONDITIONS, MeterStatus, Metered, NewJudging,
    Rule, RuleValue,
};
pub use life::MeterRevision;
pub use metered::{METERED, names_metered, units_path, with_metered, without_metered};
pub use plan::{AggregatePlan, AggregateRow, Dimension, PlanError};
pub use value::{
    NotCounted, dimension_leaf, dimension_text, distinct_leaf, distinct_value, numeric_leaf, numeric_value,
};
