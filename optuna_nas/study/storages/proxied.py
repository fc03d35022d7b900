"""Optuna's gRPC proxy, whose server may go away for a while."""

from __future__ import annotations

import copy
import importlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar
from uuid import uuid4

from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import GrpcStorageProxy
from optuna.storages._grpc.client import GrpcClientCache
from optuna.trial import FrozenTrial, TrialState, create_trial

from optuna_nas.study.storages.patience import Passing, Patience, try_again

__all__ = ["Proxied"]

ANSWER_SECONDS = 60.0
"""How long a server may take to answer; then it is asked again."""
RECONNECT_SECONDS = 5.0
"""Between two tries to connect, at most; gRPC waits up to 120."""
CALLS = "optuna.storages._grpc.auto_generated.api_pb2_grpc"
"""What Optuna's calls of the server were made into; it loads gRPC, which may not be there."""
MADE = "nas:made"
"""System attribute of a trial, by which who has created it finds it again."""

T = TypeVar("T")


class Proxied(GrpcStorageProxy):
    """A storage behind a server of `optuna.storages.run_grpc_proxy_server`, patient with that.

    When a connection breaks, nobody knows whether what was asked for has been done. Reading, and
    writing a value in the place of another, is done again. Of the rest it is first looked for
    what it left: a trial that was created, an end that was told, a study that was deleted. A
    study that was created may be refused as being there, and a trial taken out of the queue may
    be nobody's: as no process has its lease, it is taken up again.

    Args:
        host: Of the server.
        port: Of the server.

    Attributes:
        patience: Tries again a server that is away.
    """

    def __init__(self, *, host: str, port: int) -> None:
        self.patience = Patience()
        super().__init__(host=host, port=port)

    def _setup(self) -> None:
        grpc, calls = importlib.import_module("grpc"), importlib.import_module(CALLS)
        backoff = round(RECONNECT_SECONDS * 1000)
        options = [
            ("grpc.max_receive_message_length", -1),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", backoff),
            ("grpc.max_reconnect_backoff_ms", backoff),
        ]
        self._channel = grpc.insecure_channel(f"{self._host}:{self._port}", options)
        self._stub = calls.StorageServiceStub(_Asking(self._channel))
        self._cache = GrpcClientCache(self._stub)

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """Create a trial, once."""
        mark = uuid4().hex
        trial = copy.copy(template_trial or create_trial(state=TrialState.RUNNING))
        trial.system_attrs = {**trial.system_attrs, MADE: mark}

        def made() -> int | None:
            trials = self.get_all_trials(study_id, deepcopy=False)
            return next((t._trial_id for t in trials if t.system_attrs.get(MADE) == mark), None)

        return self._once(partial(super().create_new_trial, study_id, trial), made)

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        """Write the state of a trial; one that ends, ends once."""
        told = partial(super().set_trial_state_values, trial_id, state, values)

        def ended() -> bool | None:
            trial = self.get_trial(trial_id)
            if not trial.state.is_finished():
                return None
            if trial.state == state and list(trial.values or ()) == list(values or ()):
                return True
            raise UpdateFinishedTrialError(f"another process has ended trial {trial.number}")

        return self._once(told, ended)

    def delete_study(self, study_id: int) -> None:
        """Delete a study."""

        def gone() -> bool | None:
            return None if any(s._study_id == study_id for s in self.get_all_studies()) else True

        self._once(partial(super().delete_study, study_id), gone)

    def _once(self, work: Callable[[], T], found: Callable[[], T | None]) -> T:
        """Do what is not to be done twice.

        Args:
            work: Does it.
            found: What that has left, where its answer was lost; None where it has left nothing.
        """
        tried = False

        def unless_done() -> T:
            nonlocal tried
            left = found() if tried else None
            tried = True
            return work() if left is None else left

        return self.patience(unless_done)


class _Asking:
    """A channel whose calls raise, when the server does not answer, what may pass."""

    def __init__(self, channel: Any) -> None:
        self._channel = channel

    def unary_unary(self, *args: Any, **named: Any) -> Callable[[Any], Any]:
        """A call of the server, as `grpc.Channel.unary_unary` makes it."""
        return partial(_ask, self._channel.unary_unary(*args, **named))


def _ask(call: Callable[..., Any], request: Any) -> Any:
    grpc = importlib.import_module("grpc")
    try:
        return call(request, timeout=ANSWER_SECONDS)
    except grpc.RpcError as error:
        if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
            raise Passing(f"cannot reach the server: {error.details()}") from error
        raise


AGAIN = (
    "create_new_study",
    "get_all_studies",
    "get_all_trials",
    "get_study_directions",
    "get_study_id_from_name",
    "get_study_name_from_id",
    "get_study_system_attrs",
    "get_study_user_attrs",
    "get_trial",
    "get_trial_id_from_study_id_trial_number",
    "set_study_system_attr",
    "set_study_user_attr",
    "set_trial_intermediate_value",
    "set_trial_param",
    "set_trial_system_attr",
    "set_trial_user_attr",
)
"""Methods that are Optuna's, but tried again."""


try_again(Proxied, AGAIN)
