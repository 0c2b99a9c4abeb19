//! What remains of a request: numbers and a line in the log.

use std::time::Duration;

use base_kit::Moment;
use base_signal::{AccessRecord, TlsRecord};
use traffic_tls::Session;

use crate::decisions::{End, Names, Over};
use crate::life::Life;
use crate::plan::{ListenerView, View};
use crate::relay::Exchange;
use crate::worker::Worker;

impl Life<'_> {
    /// Counts the request and logs it.
    pub(super) fn record(&mut self) {
        let exchange = &mut *self.exchange;
        let record = &mut exchange.record;
        record.bytes_received += exchange.up.body_bytes;
        let now = self.worker.now();
        self.client.idle_since = now;
        let duration = now - record.started;
        let meters = self.view.route_meters(record.route, &self.worker.shard);
        meters.answered(record.status);
        meters.duration.record(duration);
        self.write_down(now, duration);
    }

    /// Counts and logs a connection that was passed on.
    pub(super) fn record_connection(&mut self) {
        let now = self.worker.now();
        self.recorder().record_passed(now);
    }

    #[inline]
    fn write_down(&mut self, now: Moment, duration: Duration) {
        self.recorder().write_down(now, duration);
    }

    fn recorder(&mut self) -> Recorder<'_> {
        Recorder {
            worker: self.worker,
            view: &self.view,
            listener: &self.client.listener,
            session: self.client.session.as_deref(),
            protocol: if self.client.is_passed_on() { "TCP" } else { self.version.name() },
            exchange: self.exchange,
        }
    }
}

/// What becomes a record: of a request, a connection or a session of datagrams.
pub(crate) struct Recorder<'a> {
    pub(crate) worker: &'a Worker,
    pub(crate) view: &'a View,
    pub(crate) listener: &'a ListenerView,
    /// Of TLS, where the client has come over it.
    pub(crate) session: Option<&'a Session>,
    /// What is spoken, as the log says it.
    pub(crate) protocol: &'static str,
    pub(crate) exchange: &'a mut Exchange,
}

impl Recorder<'_> {
    /// Counts and logs what was passed on as it is.
    pub(crate) fn record_passed(&mut self, now: Moment) {
        let record = &self.exchange.record;
        let duration = now - record.started;
        if let Some(passed) = &self.listener.meters.passed {
            if record.reason.is_some() { &passed.failed } else { &passed.ended }.increment();
            passed.duration.record(duration);
        }
        self.write_down(now, duration);
    }

    /// What is counted and written down of requests and connections alike.
    #[inline]
    fn write_down(&mut self, now: Moment, duration: Duration) {
        let (record, listener) = (&self.exchange.record, &self.listener.meters);
        listener.received.add(record.bytes_received);
        listener.sent.add(record.bytes_sent);
        if let Some(reason) = record.reason {
            self.worker.count_failure(reason);
        }
        if self.worker.logs() {
            self.log(duration);
        }
        if self.worker.decisions.borrow().is_on() {
            self.remember(now, duration);
        }
    }

    /// Offers what was noted of the request to the worker's memory of requests.
    fn remember(&mut self, now: Moment, duration: Duration) {
        let Exchange { notes, record, asked, .. } = &mut *self.exchange;
        let end =
            End { started: record.started, total: duration, status: record.status, reason: record.reason };
        let plan = &self.view.plan;
        let over = |stands_out| {
            let pool = record.pool.and_then(|index| Some((index, plan.pools.get(index)?)));
            let route = record.route.and_then(|index| plan.routes.get(index));
            let names = Names {
                method: asked.method(),
                host: asked.host(),
                path: asked.path(),
                listener: &self.listener.settings.name,
                route: route.map(|route| &*route.route.name),
                pool: pool.map(|(_, pool)| (&*pool.settings.name, &*pool.settings.balance.name)),
            };
            let candidates = pool.filter(|_| stands_out);
            Over {
                names,
                request_id: record.request_id.take(),
                client: record.client,
                detail: record.detail.take(),
                queued: record.queued,
                in_panic: pool.is_some_and(|(_, pool)| pool.state.is_in_panic()),
                candidates: candidates
                    .and_then(|(index, pool)| self.view.standings.of(index, &pool.state, now)),
            }
        };
        self.worker.decisions.borrow_mut().offer(notes, &end, over);
    }

    fn log(&self, duration: Duration) {
        let (record, asked) = (&self.exchange.record, &self.exchange.asked);
        let (plan, listener) = (&self.view.plan, &self.listener.settings);
        let pool = record.pool.and_then(|index| plan.pools.get(index)).map(|pool| &*pool.settings.name);
        let line = AccessRecord {
            time: self.worker.clock.since_epoch().saturating_sub(duration),
            request_id: record.id(),
            client: record.client,
            listener: &listener.name,
            method: asked.method(),
            host: asked.host(),
            path: asked.path(),
            query: asked.query(),
            version: self.protocol,
            status: record.status,
            reason: record.reason,
            route: record.route.and_then(|index| plan.routes.get(index)).map(|route| &*route.route.name),
            pool,
            endpoint: record.endpoint.as_ref().map(|reach| reach.state.name()),
            attempts: record.attempts,
            bytes_in: record.bytes_received,
            bytes_out: record.bytes_sent,
            duration,
            queued: record.queued,
            connect: record.connect,
            first_byte: record.first_byte,
            user_agent: asked.user_agent(),
            referer: asked.referer(),
            trace_id: asked.trace_id(),
            tls: self.session.map(|session| TlsRecord {
                version: session.version,
                cipher: session.cipher,
                name: session.name.as_deref(),
                is_resumed: session.is_resumed,
                client: session.client.as_ref().map(|client| &*client.subject),
                client_fingerprint: session.client.as_ref().map(|client| &*client.fingerprint),
            }),
        };
        if let Some(access) = &mut *self.worker.access.borrow_mut() {
            access.record(&line);
        }
    }
}
