"""Transformers of token ids and of sequences of vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from optuna_nas.architecture import Architecture
from optuna_nas.exceptions import SpaceError
from optuna_nas.spaces.allowed import restrict
from optuna_nas.spaces.choice import (
    ask_option,
    ask_size,
    check_any_sizes,
    check_options,
    check_sizes,
    listed,
)
from optuna_nas.spaces.layers import CLASS_TOKEN, POOLS, Layers
from optuna_nas.spaces.space import register

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

__all__ = ["Transformer"]


@register("transformer")
@dataclass(frozen=True, kw_only=True)
class Transformer(Layers):
    """A Transformer for text, (T,) token ids, or for a sequence (T, C) of vectors.

    A decoder is causal and answers at each position, (B, outputs, T), such as with the logits of
    the next token. An encoder answers once a sample, (B, outputs).

    A context that is shorter than a sample does what data of shorter windows would do, so that
    networks of different contexts learn from the same batches. A decoder reads a sample as windows
    of that length, one after the other: each position is told by the tokens of its window up to
    itself, and loss and costs are of all T positions. An encoder reads the last `context`
    positions alone. To use a network, build it for samples of that length,
    `build(architecture, (context,), outputs)`: it takes the same weights, and answers the same.

    By default there are 22,961,880 sets of parameters: 20,520 ways to make a layer, its position
    encoding and its embedding, and 1,119 ways to stack 2 to 6 of them, tied or with ratios. A
    ratio for each layer that is the same for all is the network with one ratio, by its digest, as
    is an embedding wider than the model that with one as wide.

    Args:
        input_shape: Shape of one sample: (T,) for token ids, (T, C) for vectors.
        vocabulary: Number of token ids; not used for vectors.
        decoder: Whether it is causal and answers at each position; needs token ids.
        contexts: How many positions a network reads at most; by default T. Those of a decoder
            divide T.
        embeddings: Features of the embedding of a token. Narrower ones than the model are
            projected to its width; wider ones are as wide as the model. By default always that.
        pools: What an encoder answers from, of "mean" (of all positions) and "first" (a class
            token).
        **layers: As for `spaces.layers.Layers`: layers, widths, heads, head_dimensions,
            group_sizes, patterns, windows, strides, positions, norms, placements, activations,
            ratios, shared_ratio, experts, top_k, balance, tied, allowed.

    Raises:
        SpaceError: Bounds that allow nothing, at construction.

    Source: Vaswani et al. 2017, arXiv:1706.03762; searched in this form, So et al. 2019,
    arXiv:1901.11117; shared layers and narrow embeddings, Lan et al. 2019, arXiv:1909.11942.
    """

    input_shape: tuple[int, ...] = (32,)
    vocabulary: int = 64
    decoder: bool = True
    contexts: tuple[int, ...] = ()
    embeddings: tuple[int, ...] = (16, 64)
    pools: tuple[str, ...] = POOLS

    def __post_init__(self) -> None:
        super().__post_init__()
        shape = _check_shape(self.input_shape, self.decoder)
        legal = {
            "input_shape": shape,
            "vocabulary": check_sizes("vocabulary", (self.vocabulary,), low=2)[0],
            "decoder": check_options("decoder", (self.decoder,), (False, True))[0],
            "contexts": check_any_sizes("contexts", self.contexts) or (shape[0],),
            "embeddings": check_any_sizes("embeddings", self.embeddings),
            "pools": check_options("pools", self.pools, POOLS),
        }
        for name, value in legal.items():
            object.__setattr__(self, name, value)
        self._check_contexts()
        self._restrict()
        self._check_length(self.contexts[0])

    def __call__(self, trial: BaseTrial) -> Architecture:
        """Draw an architecture: `embed`, `layer1_attention`, `layer1_feed_forward`, ..."""
        context = ask_size(trial, "context", self.contexts)
        width = ask_size(trial, "width", self.widths)
        position = ask_option(trial, "position", self.positions)
        cut = {"context": context} if self.decoder and context < self.input_shape[0] else {}
        nodes = self._embed(trial, width)
        pool = "each" if self.decoder else ask_option(trial, "pool", self.pools)
        if not self.decoder and context < self.input_shape[0]:
            nodes.append(("crop", "crop", {"length": context}))
        if pool == "first":
            nodes.append(("class_token", "class_token", {}))
        if position != "rotary":
            nodes.append(("position", "position", {"encoding": position, **cut}))
        place = {"causal": True, **cut} if self.decoder else {}
        return self._network(trial, nodes, width, position, place, pool)

    def _embed(self, trial: BaseTrial, width: int) -> list[tuple[str, str, dict[str, Any]]]:
        if len(self.input_shape) == 2:
            return [("embed", "projection", {"features": width})]
        narrow = min(width, ask_size(trial, "embedding", self.embeddings or (width,)))
        embed = {"vocabulary": self.vocabulary, "features": narrow}
        projection = [("widen", "projection", {"features": width})] if narrow < width else []
        return [("embed", "tokens", embed), *projection]

    def _restrict(self) -> None:
        """Keep those choices of an input whose blocks are allowed."""
        choices: dict[str, dict[Any, str]] = {}
        if len(self.input_shape) == 1 and self.embeddings:
            narrow = [size for size in self.embeddings if size < self.widths[-1]]
            choices["embeddings"] = dict.fromkeys(narrow, "projection")
        if not self.decoder:
            shorter = [length for length in self.contexts if length < self.input_shape[0]]
            choices |= {"contexts": dict.fromkeys(shorter, "crop"), "pools": CLASS_TOKEN}
        embed = "tokens" if len(self.input_shape) == 1 else "projection"
        restrict(self.always, self.allowed, (embed,))
        for name, kinds in choices.items():
            left = restrict(getattr(self, name), self.allowed, kinds=kinds)
            object.__setattr__(self, name, left)

    def _check_contexts(self) -> None:
        length = self.input_shape[0]
        legal = [n for n in range(1, length + 1) if not self.decoder or length % n == 0]
        if not set(self.contexts) <= set(legal):
            kind = "that divide" if self.decoder else "of at most"
            raise SpaceError(
                f"expected contexts {kind} the length {length} of a sample, "
                f"got contexts={self.contexts}; possible are {legal}"
            )


def _check_shape(shape: tuple[int, ...], decoder: bool) -> tuple[int, ...]:
    shape = listed("input_shape", shape)
    if len(shape) not in (1, 2) or any(type(size) is not int or size < 1 for size in shape):
        raise SpaceError(f"expected input_shape=(T,) of token ids or (T, C), got {shape}")
    if decoder and len(shape) == 2:
        raise SpaceError(
            f"expected token ids, input_shape=(T,), for a decoder, got {shape}; "
            "use decoder=False for one answer a sample"
        )
    return shape
