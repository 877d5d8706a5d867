//! What a program keeps with a socket: values by their type.

use std::{
    any::{Any, TypeId},
    collections::HashMap,
    fmt,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
};

type Values = HashMap<TypeId, Box<dyn Any + Send>>;

/// Values by their type, for as long as the socket lives. They stay on its node.
///
/// A socket with none costs no memory for it.
#[derive(Default)]
pub struct SocketData(OnceLock<Box<Mutex<Values>>>);

impl SocketData {
    fn values(&self) -> Option<MutexGuard<'_, Values>> {
        let values = self.0.get()?;
        Some(values.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Keeps `value`, and gives back the former one of its type.
    pub fn insert<T: Send + 'static>(&self, value: T) -> Option<T> {
        let values = self.0.get_or_init(Box::default);
        let mut values = values.lock().unwrap_or_else(PoisonError::into_inner);
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
