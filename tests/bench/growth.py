# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

"""How the cost of ours grows with the volume, the chain and the container.

    tox -e bench-growth -- [--plot FILE.svg] [--help]

It prints a table, and draws it.
"""

import argparse
import pathlib
import tempfile

from tests.bench import contenders
from tests.bench import images

_MIB = 1 << 20
_CHAIN_MIB = 256
_CHANGED = 0.01
_CONTAINER = '''
[chunked_backup]
compression_algorithm = {compression}
{options}

[chunked_backup_posix]
path = {repository}
container = shared
'''


def main():
    """Measure, print and draw."""
    arguments = _arguments()
    curves = []
    for measure, values in ((_by_size, arguments.sizes_gib),
                            (_by_chain, arguments.incrementals),
                            (_by_container, arguments.objects)):
        with tempfile.TemporaryDirectory(
                prefix='chunked_backup-growth-') as directory:
            curve = measure(pathlib.Path(directory), sorted(values))
            _print(curve)
            curves.append(curve)
    if arguments.plot:
        _draw(curves, arguments.plot)


def _arguments():
    parser = argparse.ArgumentParser(
        prog='python -m tests.bench.growth',
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument('--sizes-gib', type=int, nargs='+',
                        default=[1, 4, 16])
    parser.add_argument('--incrementals', type=int, nargs='+',
                        default=[1, 4, 16, 64])
    parser.add_argument('--objects', type=int, nargs='+',
                        default=[10, 1000, 100_000])
    parser.add_argument('--plot', metavar='FILE',
                        help='where to; matplotlib has to be installed')
    return parser.parse_args()


def _by_size(directory, sizes_gib):
    """Of a volume: full backup, incremental of nothing, restore."""
    curve = _Curve('size of the volume, GiB')
    for size_gib in sizes_gib:
        volume = images.write_mixed(directory / 'volume', size_gib << 30)
        ours = contenders.Ours(directory / 'ours')
        curve.add(size_gib, 'full', ours.full(volume))
        curve.add(size_gib, 'nothing changed', ours.incremental(volume))
        curve.add(size_gib, 'restore', _restore(ours, directory))
        ours.forget()
    return curve


def _by_chain(directory, lengths):
    """Of a volume of 256 MiB, 1 % of whose blocks change each time: the last
    incremental, and the restore of all."""
    curve = _Curve('incrementals in the chain')
    volume = images.write_mixed(directory / 'volume', _CHAIN_MIB * _MIB)
    ours = contenders.Ours(directory / 'ours')
    ours.full(volume)
    for number in range(1, max(lengths) + 1):
        images.change_blocks(volume, _CHANGED, seed=number)
        cost = ours.incremental(volume)
        if number in lengths:
            curve.add(number, 'incremental', cost)
            curve.add(number, 'restore', _restore(ours, directory))
    return curve


def _by_container(directory, counts):
    """With objects of others in the same container: full backup, incremental
    of nothing, restore of a volume of 256 MiB."""
    curve = _Curve('other objects in the container')
    volume = images.write_mixed(directory / 'volume', _CHAIN_MIB * _MIB)
    ours = contenders.Ours(directory / 'ours', configuration=_CONTAINER)
    others = ours.repository / 'shared'
    others.mkdir(parents=True)
    existing = 0
    for count in counts:
        for number in range(existing, count):
            (others / f'volume_other-{number:06d}').touch()
        existing = count
        curve.add(count, 'full', ours.full(volume))
        curve.add(count, 'nothing changed', ours.incremental(volume))
        curve.add(count, 'restore', _restore(ours, directory))
    return curve


def _restore(ours, directory):
    target = directory / 'restored'
    ours.leave_cache()
    cost = ours.restore(target)
    target.unlink()
    return cost


class _Curve:
    """Costs over one thing that grows."""

    def __init__(self, title):
        self.title = title
        self.costs = {}  # what -> [(value, cost)]

    def add(self, value, what, cost):
        self.costs.setdefault(what, []).append((value, cost))


def _print(curve):
    print(curve.title)
    for what, points in curve.costs.items():
        for value, cost in points:
            print(f'  {value:8} {what:16} {cost.elapsed_s:7.2f} s, CPU '
                  f'{cost.cpu_s:7.2f} s, peak {cost.peak_bytes / _MIB:4.0f} '
                  f'MiB, {cost.objects} objects', flush=True)


def _draw(curves, path):
    import matplotlib
    matplotlib.use('svg')
    from matplotlib import pyplot
    from matplotlib import ticker

    figure, axes = pyplot.subplots(1, len(curves), figsize=(12, 3.6))
    for axis, curve in zip(axes, curves, strict=True):
        for what, points in curve.costs.items():
            axis.plot([value for value, _ in points],
                      [cost.cpu_s for _, cost in points], 'o-', label=what)
        axis.set_xscale('log')
        axis.set_yscale('log')
        # What was measured, and numbers as people write them.
        values = sorted({value for points in curve.costs.values()
                         for value, _ in points})
        axis.set_xticks(values, [f'{value:,}' for value in values])
        axis.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
        axis.yaxis.set_major_formatter('{x:g}')
        for each in (axis.xaxis, axis.yaxis):
            each.set_minor_locator(ticker.NullLocator())
        axis.set_xlabel(curve.title)
        axis.grid(alpha=0.3)
        axis.legend(loc='lower center', bbox_to_anchor=(0.5, 1), ncols=3,
                    frameon=False)
    axes[0].set_ylabel('CPU, seconds')
    figure.tight_layout()
    figure.savefig(path, metadata={'Date': None})


if __name__ == '__main__':
    main()
