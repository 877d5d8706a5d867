//! Changes of a session's store, applied as one: `$set`, `$unset`, `$inc`, `$push`, `$pull`.

use serde::Serialize;
use serde_json::{Map, Number, Value};

/// The most changes in one update.
pub const OPERATIONS_MAX: usize = 100;

/// Several changes of a store that happen together or not at all.
///
/// A field is named by its path, parts separated by dots: `profile.name`. Objects on the way are
/// made where they are missing; lists are not entered by a path.
///
/// ```
/// use router_core::session::{inc, set};
///
/// let update = set("last_said", "hello").inc("said", 1).push("log", "hello");
/// let mut store = serde_json::Map::new();
/// update.apply(&mut store)?;
/// assert_eq!(store["said"], 1);
/// # Ok::<_, router_core::session::UpdateError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Update {
    operations: Vec<(String, Operation)>,
    /// A value that could not be written as JSON; told when the update is applied.
    unserializable: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
enum Operation {
    Set(Value),
    Unset,
    Inc(Number),
    Push(Value),
    Pull(Value),
}

/// Why an update was refused. The store is then as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UpdateError {
    /// Nothing to change, or more than [`OPERATIONS_MAX`] changes.
    #[error("an update holds 1 to 100 changes")]
    Count,
    /// A path with an empty part.
    #[error("`{0}` is no path of a field")]
    Path(String),
    /// Two changes of which one would undo or overlap the other.
    #[error("`{0}` is changed twice in one update")]
    Overlap(String),
    /// The field is there with another type than the change needs.
    #[error("`{path}` is no {needs}")]
    Type {
        /// The field.
        path: String,
        /// What the change needs there.
        needs: &'static str,
    },
    /// The number would leave the range of 64-bit integers.
    #[error("`{0}` would overflow")]
    Overflow(String),
    /// A value that cannot be written as JSON.
    #[error("the value for `{0}` is not JSON")]
    NotJson(String),
    /// A name like `$rename`, which is no change of ours.
    #[error("`{0}` is no change; there are $set, $unset, $inc, $push and $pull")]
    Unknown(String),
}

/// Sets a field.
pub fn set(path: &str, value: impl Serialize) -> Update {
    Update::default().set(path, value)
}

/// Removes a field.
pub fn unset(path: &str) -> Update {
    Update::default().unset(path)
}

/// Adds to a number; a missing field counts from 0.
pub fn inc(path: &str, by: impl Into<Number>) -> Update {
    Update::default().inc(path, by)
}

/// Appends to a list; a missing field is an empty one.
pub fn push(path: &str, value: impl Serialize) -> Update {
    Update::default().push(path, value)
}

/// Takes every equal value out of a list.
pub fn pull(path: &str, value: impl Serialize) -> Update {
    Update::default().pull(path, value)
}

impl Update {
    /// Also sets a field.
    #[must_use]
    pub fn set(self, path: &str, value: impl Serialize) -> Self {
        self.with_value(path, value, Operation::Set)
    }

    /// Also removes a field.
    #[must_use]
    pub fn unset(mut self, path: &str) -> Self {
        self.operations.push((path.to_owned(), Operation::Unset));
        self
    }

    /// Also adds to a number.
    #[must_use]
    pub fn inc(mut self, path: &str, by: impl Into<Number>) -> Self {
        self.operations.push((path.to_owned(), Operation::Inc(by.into())));
        self
    }

    /// Also appends to a list.
    #[must_use]
    pub fn push(self, path: &str, value: impl Serialize) -> Self {
        self.with_value(path, value, Operation::Push)
    }

    /// Also takes every equal value out of a list.
    #[must_use]
    pub fn pull(self, path: &str, value: impl Serialize) -> Self {
        self.with_value(path, value, Operation::Pull)
    }

    fn with_value(
        mut self,
        path: &str,
        value: impl Serialize,
        operation: fn(Value) -> Operation,
    ) -> Self {
        match serde_json::to_value(value) {
            Ok(value) => self.operations.push((path.to_owned(), operation(value))),
            Err(_) => self.unserializable = Some(path.to_owned()),
        }
        self
    }

    /// Reads the JSON form: `{"$set":{"a":1},"$inc":{"n":2}}`.
    ///
    /// # Errors
    /// [`UpdateError::Unknown`] for another name than the five, [`UpdateError::Type`] where an
    /// object of fields is owed.
    pub fn from_json(changes: &Map<String, Value>) -> Result<Self, UpdateError> {
        let mut update = Self::default();
        for (name, fields) in changes {
            let Value::Object(fields) = fields else {
                return Err(UpdateError::Type { path: name.clone(), needs: "object of fields" });
            };
            for (path, value) in fields {
                let operation = match (name.as_str(), value) {
                    ("$set", value) => Operation::Set(value.clone()),
                    ("$unset", _) => Operation::Unset,
                    ("$inc", Value::Number(by)) => Operation::Inc(by.clone()),
                    ("$inc", _) => {
                        return Err(UpdateError::Type { path: path.clone(), needs: "number" });
                    }
                    ("$push", value) => Operation::Push(value.clone()),
                    ("$pull", value) => Operation::Pull(value.clone()),
                    (unknown, _) => return Err(UpdateError::Unknown(unknown.to_owned())),
                };
                update.operations.push((path.clone(), operation));
            }
        }
        Ok(update)
    }

    /// Applies all changes to `store`, or none.
    ///
    /// # Errors
    /// [`UpdateError`] says which change does not fit; the store is then unchanged.
    pub fn apply(&self, store: &mut Map<String, Value>) -> Result<(), UpdateError> {
        self.check()?;
        let mut changed = store.clone();
        for (path, operation) in &self.operations {
            operation.apply(&mut changed, path)?;
        }
        *store = changed;
        Ok(())
    }

    fn check(&self) -> Result<(), UpdateError> {
        if let Some(path) = &self.unserializable {
            return Err(UpdateError::NotJson(path.clone()));
        }
        if self.operations.is_empty() || self.operations.len() > OPERATIONS_MAX {
            return Err(UpdateError::Count);
        }
        let mut paths: Vec<Vec<&str>> = Vec::with_capacity(self.operations.len());
        for (path, _) in &self.operations {
            let parts: Vec<&str> = path.split('.').collect();
            if parts.iter().any(|part| part.is_empty()) {
                return Err(UpdateError::Path(path.clone()));
            }
            paths.push(parts);
        }
        // After sorting, a path stands right before those that it contains.
        paths.sort_unstable();
        for pair in paths.windows(2) {
            if let [first, second] = pair
                && second.starts_with(first)
            {
                return Err(UpdateError::Overlap(first.join(".")));
            }
        }
        Ok(())
    }
}

impl Operation {
    fn apply(&self, store: &mut Map<String, Value>, path: &str) -> Result<(), UpdateError> {
        let (parents, field) = path.rsplit_once('.').unwrap_or(("", path));
        let mut parent = store;
        for part in parents.split('.').filter(|part| !part.is_empty()) {
            if matches!(self, Self::Unset | Self::Pull(_)) && !parent.contains_key(part) {
                return Ok(());
            }
            let child = parent.entry(part).or_insert_with(|| Value::Object(Map::new()));
            let Value::Object(child) = child else {
                return Err(UpdateError::Type {
                    path: path.to_owned(),
                    needs: "field of an object",
                });
            };
            parent = child;
        }
        let list = |value: &mut Value| match value {
            Value::Array(list) => Ok(std::mem::take(list)),
            _ => Err(UpdateError::Type { path: path.to_owned(), needs: "list" }),
        };
        match self {
            Self::Set(value) => {
                parent.insert(field.to_owned(), value.clone());
            }
            Self::Unset => {
                parent.remove(field);
            }
            Self::Inc(by) => {
                let sum = match parent.get(field) {
                    None => by.clone(),
                    Some(Value::Number(number)) => {
                        add(number, by).ok_or_else(|| UpdateError::Overflow(path.to_owned()))?
                    }
                    Some(_) => {
                        return Err(UpdateError::Type { path: path.to_owned(), needs: "number" });
                    }
                };
                parent.insert(field.to_owned(), Value::Number(sum));
            }
            Self::Push(value) => {
                let slot = parent.entry(field).or_insert_with(|| Value::Array(Vec::new()));
                let mut items = list(slot)?;
                items.push(value.clone());
                *slot = Value::Array(items);
            }
            Self::Pull(value) => {
                if let Some(slot) = parent.get_mut(field) {
                    let mut items = list(slot)?;
                    items.retain(|item| item != value);
                    *slot = Value::Array(items);
                }
            }
        }
        Ok(())
    }
}

/// The sum, exact for integers; `None` when it leaves 64 bits or is no number.
fn add(a: &Number, b: &Number) -> Option<Number> {
    if let (Some(a), Some(b)) = (a.as_i128(), b.as_i128()) {
        return a.checked_add(b).and_then(Number::from_i128);
    }
    Number::from_f64(a.as_f64()? + b.as_f64()?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn applied(store: Value, changes: Value) -> Result<Value, UpdateError> {
        let (Value::Object(mut store), Value::Object(changes)) = (store, changes) else {
            panic!("objects")
        };
        let outcome = Update::from_json(&changes).and_then(|update| update.apply(&mut store));
        outcome.map(|()| Value::Object(store))
    }

    #[test]
    fn each_change_does_its_job() {
        let store = json!({"a": {"b": 1}, "n": 5, "list": [1, 2, 1], "gone": true});
        let changes = json!({
            "$set": {"a.c.d": "new"}, "$unset": {"gone": 1, "never.there": 1},
            "$inc": {"n": -7, "fresh": 2}, "$push": {"list2": {"x": 1}}, "$pull": {"list": 1},
        });
        let expected = json!({
            "a": {"b": 1, "c": {"d": "new"}}, "n": -2, "fresh": 2, "list": [2], "list2": [{"x": 1}],
        });
        assert_eq!(applied(store, changes), Ok(expected));
    }

    #[test]
    fn integers_stay_exact() {
        let store = json!({"n": 9_007_199_254_740_993_i64});
        let sum = applied(store, json!({"$inc": {"n": 2}})).unwrap();
        assert_eq!(sum["n"], json!(9_007_199_254_740_995_i64));
        let full = json!({"n": u64::MAX});
        assert_eq!(
            applied(full, json!({"$inc": {"n": 1}})),
            Err(UpdateError::Overflow("n".into()))
        );
    }

    #[test]
    fn a_refused_update_changes_nothing() {
        let mut store = Map::from_iter([("text".to_owned(), json!("a"))]);
        let before = store.clone();
        let refused = set("fine", 1).inc("text", 1).apply(&mut store);
        assert_eq!(refused, Err(UpdateError::Type { path: "text".into(), needs: "number" }));
        assert_eq!(store, before);
    }

    #[test]
    fn overlapping_and_empty_updates_are_refused() {
        let mut store = Map::new();
        assert_eq!(Update::default().apply(&mut store), Err(UpdateError::Count));
        assert_eq!(
            set("a.b", 1).set("a", 2).apply(&mut store),
            Err(UpdateError::Overlap("a".into()))
        );
        assert_eq!(
            set("a", 1).set("b", 1).inc("a", 2).apply(&mut store),
            Err(UpdateError::Overlap("a".into()))
        );
        assert!(set("a", 1).set("ab", 2).set("a-b", 3).apply(&mut store).is_ok());
        assert_eq!(set("a..b", 1).apply(&mut store), Err(UpdateError::Path("a..b".into())));
    }

    #[test]
    fn an_unknown_change_is_named() {
        let refused = applied(json!({}), json!({"$rename": {"a": "b"}}));
        assert_eq!(refused, Err(UpdateError::Unknown("$rename".into())));
    }
}
