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

"""Figures for Prometheus from within Cinder's service."""

from prometheus_client import parser

from tests.cinder import images


def totals(path):
    """(Name, outcome or None) -> value, of all that is told of backups."""
    found = {}
    for family in parser.text_string_to_metric_families(path.read_text()):
        for sample in family.samples:
            if sample.labels['operation'] == 'volume_backup':
                found[sample.name, sample.labels.get('outcome')] = sample.value
            assert 'name' not in sample.labels  # there may be any number
    return found


def test_the_figures_of_the_service_are_in_a_file(ours, tmp_path):
    path = tmp_path / 'cinder.prom'
    tmp_path.chmod(0o777)
    data = images.first()
    with ours.configured({'chunked_backup': {'metrics_file': str(path)}}):
        for _ in range(2):
            ours.back_up(ours.volume(data))
        _, done = ours.try_to_back_up(ours.volume(
            data, 'file-like', fails_at=1_000_000))
        assert done['error'] is not None

    told = totals(path)
    assert told['chunked_backup_operations_total', 'success'] == 2
    assert told['chunked_backup_operations_total', 'failure'] == 1
    assert told['chunked_backup_done_bytes_total', None] >= 2 * len(data)
    assert told['chunked_backup_store_written_bytes_total', None] > 0
