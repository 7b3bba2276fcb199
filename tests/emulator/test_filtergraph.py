"""ffmpeg's notation, parsed and run."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

from decart_lab.emulator.filtergraph import Pump, compose, fill, parse

SIZE = (64, 48)
FPS = Fraction(25)


def grey(level: int) -> av.VideoFrame:
    array = np.full((SIZE[1] * 3 // 2, SIZE[0]), 128, np.uint8)
    array[: SIZE[1]] = level
    return av.VideoFrame.from_ndarray(array, format="yuv420p")


def levels(steps, inputs, **kwargs) -> list[int]:
    frames = Pump(steps, *SIZE, FPS, **kwargs).run(grey(level) for level in inputs)
    return [int(frame.to_ndarray()[0, 0]) for frame in frames]


def test_frames_come_out_in_order_and_none_is_lost():
    graph = parse("split[a][b];[b]negate[c];[a][c]blend=all_opacity=1")
    assert levels(graph, range(20, 60)) == list(range(20, 60))


def test_what_a_filter_holds_back_comes_out_at_the_end():
    assert levels(parse("reverse"), [20, 30, 40]) == [40, 30, 20]


def test_commas_in_quotes_belong_to_the_expression():
    assert levels(parse("lutyuv=y='clip(val+10,16,90)',null"), [50, 100]) == [60, 90]


def test_a_chain_may_read_a_label_that_a_later_one_writes():
    graph = parse("[x][y]blend=all_opacity=1;[in]split[x][z];[z]negate[y]")
    assert levels(graph, [77]) == [77]


def test_an_endless_generated_layer_ends_with_its_clip():
    graph = parse(
        "[in]null[a];color=c=black:s=64x48:r=25/1,trim=end_frame=1,format=yuv420p,"
        "loop=loop=-1:size=1[b];[a][b]blend=all_opacity=1:shortest=1"
    )
    assert levels(graph, [40, 50, 60]) == [40, 50, 60]


def test_composed_graphs_keep_their_labels_apart_and_mix_by_opacity():
    twice = "split[a][b];[b]nullsink;[a]lutyuv=y=val+40"
    assert levels(compose((twice, 1.0), (twice, 1.0)), [50]) == [130]
    assert levels(compose((twice, 0.5)), [50]) == [70]


def test_a_still_beside_the_frames_is_read_as_side():
    table = av.VideoFrame.from_ndarray(np.zeros((8, 8, 3), np.uint8), format="rgb24")
    graph = parse("[in]format=rgb24[rgb];[rgb][side]haldclut")
    assert levels(graph, [50, 200], side=table) == [16, 16]


def test_placeholders_follow_the_frame_and_the_seed():
    filled = fill("{2u} {16px} {w}x{h}@{fps} {seed} {0.9~1.1}", 1280, 704, FPS, 1)
    size, block, frame, seed, share = filled.split()
    assert (size, block, frame) == ("2", "16", "1280x704@25/1")
    assert int(seed) > 0
    assert 0.9 <= float(share) <= 1.1
    assert fill("{seed}", 1280, 704, FPS, 1) == fill("{seed}", 640, 352, FPS, 1)
    assert fill("{seed}", 1280, 704, FPS, 1) != fill("{seed}", 1280, 704, FPS, 2)


def test_an_unknown_filter_is_an_error():
    with pytest.raises(ValueError, match="no filter"):
        Pump(parse("nosuchfilter"), *SIZE, FPS)
