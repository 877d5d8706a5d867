//! What a program keeps with a socket: values by their type.

use std::{
    any::{Any, TypeId},
    collections::HashMap,
    fmt,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
};

use super::taps::Taps;

type Values = HashMap<TypeId, Box<dyn Any + Send>>;

/// Values by their type, for as long as the socket lives. They stay on its node.
///
/// A socket with none, and with no handlers of its own, costs no memory for it.
#[derive(Default)]
pub struct SocketData(OnceLock<Box<Kept>>);

#[derive(Default)]
struct Kept {
    values: Mutex<Values>,
    taps: Taps,
}

impl Kept {
    fn values(&self) -> MutexGuard<'_, Values> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SocketData {
    fn values(&self) -> Option<MutexGuard<'_, Values>> {
        Some(self.0.get()?.values())
    }

    /// The handlers of the socket's own, if there ever were some.
    pub(super) fn taps(&self) -> Option<&Taps> {
        self.0.get().map(|kept| &kept.taps)
    }

    /// Where handlers of the socket's own are added.
    pub(super) fn taps_or_new(&self) -> &Taps {
        &self.0.get_or_init(Box::default).taps
    }

    /// Keeps `value`, and gives back the former one of its type.
    pub fn insert<T: Send + 'static>(&self, value: T) -> Option<T> {
        let mut values = self.0.get_or_init(Box::default).values();
        let former = values.insert(TypeId::of::<T>(), Box::new(value));
        former.and_then(|former| former.downcast().ok()).map(|former| *former)
    }

    /// A copy of the value of this type.
    pub fn get<T: Clone + Send + 'static>(&self) -> Option<T> {
        self.with(|value: &mut T| value.clone())
    }

    /// Looks at the value of this type, or changes it. What `look` does is done under the socket's
    /// lock: it must return soon.
    pub fn with<T: Send + 'static, R>(&self, look: impl FnOnce(&mut T) -> R) -> Option<R> {
        let mut values = self.values()?;
        values.get_mut(&TypeId::of::<T>())?.downcast_mut().map(look)
    }

    /// Takes the value of this type out.
    pub fn remove<T: Send + 'static>(&self) -> Option<T> {
        let value = self.values()?.remove(&TypeId::of::<T>())?;
        value.downcast().ok().map(|value| *value)
    }
}

impl fmt::Debug for SocketData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.values().map_or(0, |values| values.len());
        write!(f, "SocketData({count} types)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_kept_by_their_type() {
        let data = SocketData::default();
        assert_eq!(data.get::<u8>(), None);
        assert_eq!(data.insert(1u8), None);
        assert_eq!(data.insert(2u8), Some(1));
        data.insert("text".to_owned());
        assert_eq!(data.with(|n: &mut u8| *n += 1), Some(()));
        assert_eq!((data.get::<u8>(), data.get::<u16>()), (Some(3), None));
        assert_eq!(data.remove::<String>().as_deref(), Some("text"));
        assert_eq!(data.remove::<String>(), None);
    }
}
