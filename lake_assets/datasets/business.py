"""The business apps: CRM, commerce, voice, cap table and invoicing, exported from their schemas.

Belongs here: tables of the apps' own schemas in the platform database (`zeropipeline`,
`zerocommerce`, `zerovoice`, `opencap`, `zeroinvoice`).
Does not belong here: tables of the platform itself, or an app that is read through its API.
"""

from lake_assets.catalog import Dataset, event, snapshot

_GROUP = "Business App Exports"

_BY_UPDATE = (
    "A row appears again on each later day on which it changed: the latest `updated_at` per key "
    "is its current state. Writing an old day once more finds only rows that have not changed "
    "since, so a backfill can shrink a day."
)

_STATE = "The same rows repeat every day: filter on one `date`, or sums count each row once a day."

DATASETS: tuple[Dataset, ...] = (
    snapshot(
        "business/crm/deals",
        "ZeroPipeline CRM deals; one row per deal, full state as of that day.",
        group=_GROUP,
        table="zeropipeline.deals",
        tasks="lake.export_zeropipeline_deals",
        key="deal_id",
        references="stage_id=business/crm/pipeline.stage_id",
        notes=f"{_STATE} Amounts are in `currency`: never sum across currencies.",
        columns="""
            deal_id              string!     One id per deal.
            org_id               string!
            name                 string      The deal's title, as a person typed it.
            pipeline_id          string      The pipeline that the deal moves through.
            stage_id             string      Its stage; see `business/crm/pipeline`.
            stage_name           string      Name of that stage on this day.
            status               string!     Whether it is open, or how it ended. {open|won|lost}
            amount               decimal     Value of the deal in `currency`; null while unknown.
            currency             string      ISO 4217 code of `amount`.
            probability          float64     Chance to win, 0 to 1, as set by stage or owner.
            owner_id             string      The user who owns the deal; null when nobody does.
            contact_id           string      The person on the buying side.
            company_id           string      The company on the buying side.
            source               string      Where the lead came from, such as referral or outbound.
            expected_close_date  date        The day the owner expects it to close.
            closed_at            timestamp   When it was won or lost; null while open.
            lost_reason          string      Why it was lost; null unless lost.
            created_at           timestamp!
            updated_at           timestamp!
        """,
    ),
    event(
        "business/crm/activities",
        "ZeroPipeline CRM activities; one row per call, mail, meeting, task or note.",
        group=_GROUP,
        table="zeropipeline.activities",
        tasks="lake.export_zeropipeline_activities",
        key="activity_id",
        notes=(
            "Windowed by creation: a task that is completed on a later day keeps the state that "
            "it had when its day was exported."
        ),
        columns="""
            activity_id    string!     One id per activity.
            org_id         string!
            deal_id        string      The deal it belongs to; null when it belongs to none.
            contact_id     string      The person it was with.
            owner_id       string      The user who did it or has to do it.
            activity_type  string!     What kind it is. {call|email|meeting|task|note}
            subject        string      Short title.
            outcome        string      Result in the owner's words, such as connected or no_answer.
            duration_s     int64       Length in seconds; null where none applies.
            due_at         timestamp   When it is or was due; null without a deadline.
            completed_at   timestamp   When it was done; null while open.
            metadata       json        Further fields of the app, as an object.
            created_at     timestamp!
        """,
    ),
    snapshot(
        "business/crm/pipeline",
        "ZeroPipeline pipeline stages; one row per stage, full state as of that day.",
        group=_GROUP,
        table="zeropipeline.stages",
        tasks="lake.export_zeropipeline_stages",
        key="stage_id",
        notes=f"{_STATE} `deals_amount` adds deals as entered, whatever their currency.",
        columns="""
            stage_id       string!     One id per stage.
            pipeline_id    string!     The pipeline that the stage belongs to.
            pipeline_name  string      Name of the pipeline.
            org_id         string!
            stage_name     string      Name of the stage.
            position       int64       Place in the pipeline, 1 for the first stage.
            probability    float64     Chance to win that the stage stands for, 0 to 1.
            is_won         bool        Whether reaching it means that the deal is won.
            is_lost        bool        Whether reaching it means that the deal is lost.
            deals_open     int64       Open deals in the stage.
            deals_amount   decimal     Sum of the amounts of those deals.
            created_at     timestamp!
            updated_at     timestamp!
        """,
    ),
    event(
        "business/commerce/orders",
        "ZeroCommerce orders that changed on the day; one row per order.",
        group=_GROUP,
        table="zerocommerce.orders",
        tasks="lake.export_zerocommerce_orders",
        watermark="updated_at",
        key="order_id",
        notes=(
            f"{_BY_UPDATE} total = subtotal - discount_total + tax_total + shipping_total. For "
            "revenue by day use `placed_at` of the latest rows, not the partition day."
        ),
        columns="""
            order_id            string!     One id per order.
            order_number        string      Number that the customer sees; unique within a store.
            store_id            string!     The store that sold it.
            customer_id         string      The buyer; null for a guest.
            status              string!     State of the order. {pending|processing|completed|cancelled|refunded}
            payment_status      string      State of the payment. {unpaid|authorized|paid|refunded}
            fulfillment_status  string      State of the delivery. {unfulfilled|partial|fulfilled}
            subtotal            decimal     Sum of the line items before discount, tax and shipping.
            discount_total      decimal     What discounts took off, as a positive amount.
            tax_total           decimal     Tax.
            shipping_total      decimal     Shipping.
            total               decimal     What the customer pays, in `currency`.
            currency            string      ISO 4217 code of all amounts of the row.
            item_count          int64       Units over all line items.
            line_items          json        Array of objects: product_id, sku, quantity, price.
            coupon_code         string      The coupon used; null without one.
            placed_at           timestamp   When the customer placed it.
            created_at          timestamp!
            updated_at          timestamp!
        """,
    ),
    snapshot(
        "business/commerce/products",
        "ZeroCommerce products; one row per product, full catalogue as of that day.",
        group=_GROUP,
        table="zerocommerce.products",
        tasks="lake.export_zerocommerce_products",
        key="product_id",
        notes=_STATE,
        columns="""
            product_id          string!     One id per product.
            store_id            string!     The store that sells it.
            sku                 string      Stock keeping unit; unique within a store.
            name                string      Name that the customer sees.
            category            string      The store's own category.
            status              string!     Whether it can be bought. {active|draft|archived}
            price               decimal     Price per unit in `currency`, before tax.
            compare_at_price    decimal     The struck-out former price; null when not on offer.
            cost                decimal     What the unit costs the store; null where unknown.
            currency            string      ISO 4217 code of all amounts of the row.
            inventory_quantity  int64       Units in stock over all variants; below 0 when oversold.
            variants            json        Array of objects, one per variant.
            created_at          timestamp!
            updated_at          timestamp!
        """,
    ),
    event(
        "business/voice/calls",
        "ZeroVoice call records; one row per call.",
        group=_GROUP,
        table="zerovoice.calls",
        tasks="lake.export_zerovoice_calls",
        key="call_id",
        failures="status=failed",
        notes=(
            "Phone numbers are stored as hashes only. `duration_s` counts talk time, from "
            "`answered_at` to `ended_at`."
        ),
        columns="""
            call_id               string!     One id per call.
            org_id                string!
            agent_id              string      The agent that handled the call; null when none did.
            direction             string!     Who called whom, seen from us. {inbound|outbound}
            from_number_hash      string      SHA-256 of the caller's number.
            to_number_hash        string      SHA-256 of the called number.
            status                string!     How it ended. {completed|no_answer|busy|failed|voicemail}
            started_at            timestamp   When it began to ring.
            answered_at           timestamp   When it was answered; null when it was not.
            ended_at              timestamp   When it ended.
            duration_s            int64       Talk time in seconds; 0 when not answered.
            cost_usd              decimal     What the carrier charged, in US dollars.
            recording_url         string      Where the recording is; null without one.
            transcript_available  bool        Whether there is a transcript.
            sentiment             string      The other side's mood; null if not rated. {positive|neutral|negative}
            disconnect_reason     string      Why the line closed, in the carrier's words.
            created_at            timestamp!
        """,
    ),
    event(
        "business/voice/sms",
        "ZeroVoice SMS records; one row per message.",
        group=_GROUP,
        table="zerovoice.sms",
        tasks="lake.export_zerovoice_sms",
        key="message_id",
        failures="status=failed",
        notes="Phone numbers are stored as hashes only, and the text not at all.",
        columns="""
            message_id        string!     One id per message.
            org_id            string!
            agent_id          string      The agent that wrote or received it; null when none did.
            direction         string!     Who wrote to whom, seen from us. {inbound|outbound}
            from_number_hash  string      SHA-256 of the sender's number.
            to_number_hash    string      SHA-256 of the receiver's number.
            status            string!     Delivery state. {queued|sent|delivered|failed|received}
            segments          int64       SMS segments that it was split into; the unit of billing.
            body_chars        int64       Length of the text in characters.
            cost_usd          decimal     What the carrier charged, in US dollars.
            error_code        string      The carrier's error code; null unless failed.
            sent_at           timestamp   When it was handed to the carrier; null for inbound.
            delivered_at      timestamp   When the carrier confirmed delivery; null before that.
            created_at        timestamp!
        """,
    ),
    snapshot(
        "business/equity/stakeholders",
        "OpenCap cap-table stakeholders; one row per stakeholder, full state as of that day.",
        group=_GROUP,
        table="opencap.stakeholders",
        tasks="lake.export_opencap_stakeholders",
        key="stakeholder_id",
        proposed=True,
        notes=f"{_STATE} Names are personal data; e-mail addresses are stored as hashes only.",
        columns="""
            stakeholder_id    string!     One id per stakeholder and company.
            company_id        string!     The company whose cap table it is.
            name              string      Name of the person or institution.
            stakeholder_type  string      What the holder is. {individual|institution}
            relationship      string      Role, such as founder, employee, investor or advisor.
            email_hash        string      SHA-256 of the lower-cased e-mail address.
            country           string      ISO 3166-1 alpha-2 code of residence.
            is_active         bool        Whether the holder still has a stake or a role.
            created_at        timestamp!
            updated_at        timestamp!
        """,
    ),
    snapshot(
        "business/equity/grants",
        "OpenCap equity grants; one row per grant, full state as of that day.",
        group=_GROUP,
        table="opencap.equity_grants",
        tasks="lake.export_opencap_grants",
        key="grant_id",
        references="""
            stakeholder_id=business/equity/stakeholders.stakeholder_id
            share_class_id=business/equity/share_classes.share_class_id
        """,
        proposed=True,
        notes=(
            f"{_STATE} Quantities are shares since the grant date, not of the day. Outstanding "
            "= quantity - exercised_quantity - cancelled_quantity."
        ),
        columns="""
            grant_id            string!     One id per grant.
            company_id          string!     The company that granted it.
            stakeholder_id      string!     Who holds it; see `business/equity/stakeholders`.
            share_class_id      string      The class; see `business/equity/share_classes`.
            grant_type          string!     Kind of option or stock award. {iso|nso|rsa|rsu}
            quantity            int64       Shares granted.
            exercise_price      decimal     Price per share in `currency`; null for stock units.
            currency            string      ISO 4217 code of `exercise_price`.
            grant_date          date        The day of the grant.
            vesting_start_date  date        The day from which vesting counts.
            vesting_months      int64       Months until all of it has vested.
            cliff_months        int64       Months before the first share vests; 0 without a cliff.
            vested_quantity     int64       Shares vested so far.
            exercised_quantity  int64       Shares exercised or settled so far.
            cancelled_quantity  int64       Shares cancelled or forfeited so far.
            status              string!     State of the grant. {active|exercised|cancelled|expired}
            created_at          timestamp!
            updated_at          timestamp!
        """,
    ),
    snapshot(
        "business/equity/share_classes",
        "OpenCap share classes; one row per class, full state as of that day.",
        group=_GROUP,
        table="opencap.share_classes",
        tasks="lake.export_opencap_share_classes",
        key="share_class_id",
        proposed=True,
        notes=_STATE,
        columns="""
            share_class_id          string!     One id per share class.
            company_id              string!     The company that issues it.
            name                    string      Name, such as Common or Series A Preferred.
            class_type              string!     Whether holders rank before others. {common|preferred}
            authorized_shares       int64       Shares that may be issued.
            issued_shares           int64       Shares issued so far.
            par_value               decimal     Par value per share in the company's currency.
            original_issue_price    decimal     First price per share; null for common stock.
            liquidation_preference  float64     Multiple of the issue price that is paid first.
            votes_per_share         float64     Votes that one share carries.
            seniority               int64       Rank in a liquidation: 1 is paid first.
            created_at              timestamp!
            updated_at              timestamp!
        """,
    ),
    event(
        "business/invoicing/invoices",
        "ZeroInvoice invoices that changed on the day; one row per invoice.",
        group=_GROUP,
        table="zeroinvoice.invoices",
        tasks="lake.export_zeroinvoice_invoices",
        watermark="updated_at",
        key="invoice_id",
        proposed=True,
        notes=f"{_BY_UPDATE} total = subtotal + tax_total; amount_due = total - amount_paid.",
        columns="""
            invoice_id      string!     One id per invoice.
            invoice_number  string      Number that the customer sees; unique within `org_id`.
            org_id          string!     The organisation that issues the invoice.
            customer_id     string!     Who has to pay.
            status          string!     State of the invoice. {draft|sent|partial|paid|overdue|void}
            issue_date      date        The day on the invoice; null while a draft.
            due_date        date        The day by which it has to be paid.
            subtotal        decimal     Sum of the line items before tax.
            tax_total       decimal     Tax.
            total           decimal     What the customer has to pay in all.
            amount_paid     decimal     What has been paid so far.
            amount_due      decimal     What is still to be paid.
            currency        string      ISO 4217 code of all amounts of the row.
            line_items      json        Array of objects: description, quantity, unit_price.
            sent_at         timestamp   When it was sent; null while a draft.
            paid_at         timestamp   When it was paid in full; null before that.
            created_at      timestamp!
            updated_at      timestamp!
        """,
    ),
    event(
        "business/invoicing/payments",
        "ZeroInvoice payments; one row per payment.",
        group=_GROUP,
        table="zeroinvoice.payments",
        tasks="lake.export_zeroinvoice_payments",
        key="payment_id",
        failures="status=failed",
        proposed=True,
        notes=(
            "Windowed by creation: a payment that fails or is refunded on a later day keeps the "
            "`status` it had when its day was exported."
        ),
        columns="""
            payment_id            string!     One id per payment.
            invoice_id            string!     The invoice it pays.
            org_id                string!     The organisation that receives it.
            customer_id           string      Who paid.
            amount                decimal     Amount paid in `currency`, before `fee`.
            currency              string      ISO 4217 code of `amount` and `fee`.
            method                string      How it was paid. {card|bank_transfer|check|cash|other}
            processor             string      Who processed it, such as stripe; null if manual.
            processor_payment_id  string      The processor's own id; null if manual.
            status                string!     State of the payment. {pending|succeeded|failed|refunded}
            fee                   decimal     What the processor kept; null where unknown.
            received_at           timestamp   When the money came in; null before that.
            created_at            timestamp!
        """,
    ),
)
