import { processSesWebhook, sendEmail } from "../../../examples/leads/mail.ts";
import {
  BUSY,
  busy,
  type CasesOf,
  DOWN,
  DRAFT,
  down,
  INVALID,
  LOST,
  lost,
  NOTICE,
  OFFER,
  SENT,
  UNRECOVERABLE,
  wrong,
} from "./cases.ts";
import { fails } from "./stage.ts";

export const MAIL: CasesOf = [
  [
    sendEmail,
    [
      [
        "sends the offer and notes the message",
        { offerId: 1, userId: 2 },
        { messageId: "mail-1" },
        {
          given: OFFER,
          after: [
            "select status, message_id from leads.offer",
            [{ status: "sent", message_id: "mail-1" }],
          ],
        },
      ],
      ["gives up on an offer that is not there", { offerId: 9 }, UNRECOVERABLE(/there is none/)],
      ["skips one that was sent", { offerId: 1 }, { skipped: "it is sent" }, { given: SENT }],
      [
        "gives up without an address",
        { offerId: 1 },
        UNRECOVERABLE(/no address/),
        { given: `${OFFER}; update leads.lead set email = null`, after: DRAFT },
      ],
      [
        "skips a suppressed address",
        { offerId: 1 },
        { skipped: "the address is suppressed" },
        {
          given: `${OFFER}; insert into leads.suppressed values ('ann@shop.example', 'bounce')`,
          after: DRAFT,
        },
      ],
      [
        "waits for the provider's limiter",
        { offerId: 1 },
        BUSY,
        { given: OFFER, fault: busy("/ses"), after: DRAFT },
      ],
      [
        "tries again while the provider is down",
        { offerId: 1 },
        DOWN,
        { given: OFFER, fault: down("/ses"), after: DRAFT },
      ],
      [
        "tries again if the answer is lost",
        { offerId: 1 },
        LOST,
        { given: OFFER, fault: lost("/ses"), after: DRAFT },
      ],
      [
        "gives up on what the provider refuses",
        { offerId: 1 },
        UNRECOVERABLE(/400/),
        { given: OFFER, fault: wrong("/ses"), after: DRAFT },
      ],
    ],
  ],
  [
    processSesWebhook,
    [
      [
        "marks a delivered offer",
        NOTICE,
        { offer: 1 },
        { given: SENT, after: ["select status from leads.offer", [{ status: "delivered" }]] },
      ],
      [
        "suppresses an address that bounced",
        { ...NOTICE, type: "bounce" },
        { offer: 1 },
        {
          given: SENT,
          after: [
            "select email, why from leads.suppressed",
            [{ email: "ann@shop.example", why: "bounce" }],
          ],
        },
      ],
      [
        "suppresses one that complained",
        { ...NOTICE, type: "complaint" },
        { offer: 1 },
        {
          given: SENT,
          after: [
            "select o.status, s.why from leads.offer o, leads.suppressed s",
            [{ status: "complained", why: "complaint" }],
          ],
        },
      ],
      [
        "does nothing the second time",
        NOTICE,
        { skipped: "it came before" },
        {
          given: `${SENT}; insert into leads.mail_event values ('e1')`,
          after: ["select status from leads.offer", [{ status: "sent" }]],
        },
      ],
      [
        "waits for a message that is not known yet, and forgets that it came",
        NOTICE,
        fails("Error", /not known yet/),
        { after: ["select * from leads.mail_event", []] },
      ],
      [
        "takes an address that is suppressed already",
        { ...NOTICE, type: "bounce" },
        { offer: 1 },
        {
          given: `${SENT}; insert into leads.suppressed values ('ann@shop.example', 'old')`,
          after: ["select why from leads.suppressed", [{ why: "old" }]],
        },
      ],
      ["refuses another type", { ...NOTICE, type: "open" }, INVALID],
      ["refuses what is no address", { ...NOTICE, email: "ann" }, INVALID],
      [
        "leaves other offers alone",
        NOTICE,
        { offer: 1 },
        {
          given: `${SENT}; insert into leads.offer (lead_id, user_id, body, message_id) values (2, 1, 'x', 'm2')`,
          after: ["select status from leads.offer where id = 2", [{ status: "draft" }]],
        },
      ],
    ],
  ],
];
