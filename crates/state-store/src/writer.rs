//! For whom something is written.

use crate::idempotency::Reservation;
use tallystick_domain::Namespace;

/// For whom something is written: a namespace, and perhaps a reservation of an idempotency key. With one, the write is done
/// only if the reservation still holds, and marks the key as written in the same transaction.
#[derive(Clone, Copy, Debug)]
pub struct Writer<'a> {
    namespace: &'a Namespace,
    reservation: Option<&'a Reservation>,
}

impl<'a> Writer<'a> {
    /// A write of this namespace that no idempotency key stands for.
    pub fn of(namespace: &'a Namespace) -> Self {
        Self { namespace, reservation: None }
    }

    /// A write that a reserved key stands for.
    pub fn holding(reservation: &'a Reservation) -> Self {
        Self { namespace: &reservation.namespace, reservation: Some(reservation) }
    }

    pub(crate) fn namespace(self) -> &'a Namespace {
        self.namespace
    }

    pub(crate) fn reservation(self) -> Option<&'a Reservation> {
        self.reservation
    }
}
