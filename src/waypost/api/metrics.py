"""The API's own figures: how many requests, how long they took."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from waypost.api.operations import Operation

# From a cached read to a test of an endpoint that takes its whole minute.
BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)


class ApiMetrics:
    """Counts by operation, never by path: paths hold references, and there are millions of them."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "waypost_http_requests", "Requests answered.", ("operation", "status"), registry=registry
        )
        self._seconds = Histogram(
            "waypost_http_request_seconds",
            "Time from the request's head to the end of its answer.",
            ("operation",),
            registry=registry,
            buckets=BUCKETS_S,
        )
        self._streams = Gauge("waypost_event_streams", "Clients that follow a log.", registry=registry)
        self._counters: dict[tuple[str, int], Counter] = {}
        self._timers: dict[str, Histogram] = {}

    def watch_streams(self, streams: Callable[[], int]) -> None:
        """Ask `streams` how many there are whenever the figures are read."""
        self._streams.set_function(streams)

    def count(self, operation: Operation, status: int, duration_s: float) -> None:
        """Enter one answered request."""
        self._counter(operation.name, status).inc()
        timer = self._timers.get(operation.name)
        if timer is None:
            timer = self._timers[operation.name] = self._seconds.labels(operation.name)
        timer.observe(duration_s)

    def count_unrouted(self, status: int) -> None:
        """Enter one request that fits no operation."""
        self._counter("none", status).inc()

    def _counter(self, operation: str, status: int) -> Counter:
        counter = self._counters.get((operation, status))
        if counter is None:
            counter = self._counters[operation, status] = self._requests.labels(operation, str(status))
        return counter
