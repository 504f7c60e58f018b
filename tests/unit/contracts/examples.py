"""Small contracts that tests change one thing of."""

from pathlib import Path
from textwrap import dedent

import yaml

from data_platform.contracts.load import load_contract
from data_platform.contracts.model import Contract

ORDERS = dedent(
    """\
    apiVersion: v3.1.0
    kind: DataContract
    id: orders
    name: Orders
    version: 1.0.0
    status: active
    domain: shop
    description:
      purpose: What was ordered.
    team:
      name: till
      members:
        - {username: till@shop.example, role: owner}
    servers:
      - server: landing
        type: local
        path: landing/shop/orders/*.csv
        format: csv
    schema:
      - name: orders
        dataGranularityDescription: one row an order
        properties:
          - name: order_no
            physicalName: number
            logicalType: string
            physicalType: text
            primaryKey: true
            required: true
            description: Number of the order.
            logicalTypeOptions: {pattern: '^[0-9]{4}$'}
          - name: ordered_on
            logicalType: date
            physicalType: date
            required: true
            description: Day of the order.
          - name: amount_usd
            logicalType: number
            physicalType: numeric(8,2)
            description: Value of the order.
            logicalTypeOptions: {minimum: 0, maximum: 500}
            quality:
              - id: few_without_value
                metric: nullValues
                unit: percent
                mustBeLessOrEqualTo: 40
                severity: warning
                description: 2026-11 the till forgets some.
          - name: note
            logicalType: string
            physicalType: text
            description: What the clerk wrote.
            logicalTypeOptions: {maxLength: 10}
          - name: channel
            logicalType: string
            physicalType: text
            required: true
            description: How it came.
            quality:
              - id: channel_known
                metric: invalidValues
                arguments: {validValues: [shop, web]}
                mustBe: 0
                severity: error
                description: 2026-11 there are these two.
          - name: email
            logicalType: string
            physicalType: text
            classification: personal
            description: Address of the buyer.
            customProperties:
              - {property: privacy, value: hash}
          - name: born_on
            logicalType: date
            physicalType: date
            classification: personal
            description: Birth date of the buyer.
            customProperties:
              - {property: privacy, value: {generalise: age_band}}
          - name: phone
            logicalType: string
            physicalType: text
            classification: personal
            description: Telephone number of the buyer.
            customProperties:
              - {property: privacy, value: drop}
          - name: gender
            logicalType: string
            physicalType: text
            classification: personal
            description: As declared.
            customProperties:
              - {property: privacy, value: {keep: fairness tests}}
        quality:
          - id: cheap_orders
            type: sql
            query: select count(*) from {object} where amount_usd < 1
            unit: percent
            mustBeLessOrEqualTo: 50
            severity: warning
            description: 2026-11 most orders cost more.
          - id: web_orders_have_no_note
            type: sql
            query: select count(*) from {object} where channel = 'web' and note <> ''
            mustBe: 0
            severity: error
            description: 2026-11 nobody writes one.
          - id: enough_orders
            metric: rowCount
            mustBeGreaterOrEqualTo: 1
            severity: error
            description: 2026-11 a day without orders is a broken till.
    slaProperties:
      - {property: frequency, value: 1, unit: d}
      - {property: freshness, value: 2, unit: d, element: orders.ordered_on}
    customProperties:
      - {property: datasetKind, value: events}
      - {property: eventDay, value: ordered_on}
      - {property: arrivalDelay, value: 2h}
    """
)

FEATURES = dedent(
    """\
    apiVersion: v3.1.0
    kind: DataContract
    id: ftr_buyer
    name: Buyer
    version: 2.1.0
    status: draft
    domain: shop
    description:
      purpose: What a buyer bought.
    team:
      name: analytics
      members:
        - {username: somebody@shop.example, role: member}
        - {username: owner@shop.example, role: owner}
    servers:
      - {server: warehouse, type: postgres, host: 127.0.0.1, port: 5432, database: warehouse, schema: features}
    schema:
      - name: ftr_buyer
        dataGranularityDescription: one row a buyer and day
        properties:
          - name: computed_on
            logicalType: date
            physicalType: date
            primaryKey: true
            required: true
            description: Day at whose end the row held.
          - name: buyer_id
            logicalType: integer
            physicalType: bigint
            primaryKey: true
            required: true
            description: Number of the buyer.
          - name: event_at
            logicalType: timestamp
            physicalType: timestamptz
            required: true
            description: End of computed_on.
          - name: order_count
            logicalType: integer
            physicalType: integer
            required: true
            description: Number of orders.
            logicalTypeOptions: {minimum: 0}
          - name: is_member
            logicalType: boolean
            physicalType: boolean
            description: Whether the buyer is a member.
    customProperties:
      - {property: materialization, value: keyed}
      - {property: unitKey, value: buyer_id}
      - {property: eventDay, value: computed_on}
      - {property: entity, value: buyer}
      - {property: eventTimestamp, value: event_at}
    """
)
PATHS = {
    "orders": "sources/shop/orders.odcs.yaml",
    "ftr_buyer": "features/ftr_buyer.odcs.yaml",
    "visits": "sources/web/visits.odcs.yaml",
    "calls": "sources/crm/calls.odcs.yaml",
    "currencies": "sources/till/currencies.odcs.yaml",
}
VISITS, CALLS, CURRENCIES = (
    (Path(__file__).parents[2] / f"integration/{project}/project/contracts" / PATHS[name]).read_text("utf-8")
    for name, project in (("visits", "spark_jobs"), ("calls", "spark_jobs"), ("currencies", "reference"))
)


def write_contract(root: Path, text: str, path: str | None = None) -> Path:
    """Puts a contract where its dataset's name says, or at ``path`` below ``root``."""
    dataset = yaml.safe_load(text)["schema"][0]["name"] if path is None else ""
    file = root / (path or PATHS.get(dataset, f"sources/shop/{dataset}.odcs.yaml"))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def changed(text: str, old: str, new: str) -> str:
    """The text with one place changed; a place that is not there would test nothing."""
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times"
    return text.replace(old, new)


def contract_of(root: Path, text: str = ORDERS, path: str | None = None) -> Contract:
    return load_contract(write_contract(root, text, path), root)
