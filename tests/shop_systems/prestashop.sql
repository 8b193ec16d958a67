-- PrestaShop 8, ps_orders, abbreviated. Times in Paris, an hour ahead of UTC in winter.
CREATE TABLE ps_orders (
  id_order int(10) unsigned NOT NULL AUTO_INCREMENT,
  reference varchar(9) DEFAULT NULL,
  id_shop int(11) unsigned NOT NULL DEFAULT '1',
  id_cart int(10) unsigned NOT NULL,
  current_state int(10) unsigned NOT NULL,
  `date_add` datetime NOT NULL,
  date_upd datetime NOT NULL,
  PRIMARY KEY (id_order),
  KEY reference (reference),
  KEY current_state (current_state),
  KEY `date_add` (`date_add`)
);
INSERT INTO ps_orders (id_order, reference, id_cart, current_state, `date_add`, date_upd) VALUES
  -- each state of a new shop once
  (101, 'AAAAAAAAA', 1, 1, '2026-02-01', '2026-03-01 08:30'),
  (102, 'AAAAAAAAB', 2, 2, '2026-02-01', '2026-03-01 08:30'),
  (103, 'AAAAAAAAC', 3, 3, '2026-02-01', '2026-03-01 08:30'),
  (104, 'AAAAAAAAD', 4, 4, '2026-02-01', '2026-03-01 08:30'),
  (105, 'AAAAAAAAE', 5, 5, '2026-02-01', '2026-03-01 08:30'),
  (106, 'AAAAAAAAF', 6, 6, '2026-02-01', '2026-03-01 08:30'),
  (107, 'AAAAAAAAG', 7, 7, '2026-02-01', '2026-03-01 08:30'),
  (108, 'AAAAAAAAH', 8, 8, '2026-02-01', '2026-03-01 08:30'),
  (109, 'AAAAAAAAI', 9, 9, '2026-02-01', '2026-03-01 08:30'),
  (110, 'AAAAAAAAJ', 10, 10, '2026-02-01', '2026-03-01 08:30'),
  (111, 'AAAAAAAAK', 11, 11, '2026-02-01', '2026-03-01 08:30'),
  (112, 'AAAAAAAAL', 12, 12, '2026-02-01', '2026-03-01 08:30'),
  (113, 'AAAAAAAAM', 13, 13, '2026-02-01', '2026-03-01 08:30'),
  -- never updated; one cart that became two orders of one reference
  (201, 'BBBBBBBBA', 21, 2, '2026-03-01 08:15', '2026-03-01 08:15'),
  (202, 'BBBBBBBBB', 22, 5, '2026-02-01', '2026-03-01 08:30'),
  (203, 'BBBBBBBBB', 22, 6, '2026-02-01', '2026-03-01 08:30'),
  -- being placed
  (301, 'CCCCCCCCA', 31, 0, '2026-03-01 08:30', '2026-03-01 08:30'),
  -- the edges of the window
  (401, 'DDDDDDDDA', 41, 2, '2026-02-01', '2026-02-28 07:59:59'),
  (402, 'DDDDDDDDB', 42, 2, '2026-02-01', '2026-02-28 08:00:00'),
  (403, 'DDDDDDDDC', 43, 5, '2026-02-01', '2026-03-01 08:59:59'),
  (404, 'DDDDDDDDD', 44, 5, '2026-02-01', '2026-03-01 09:00:00'),
  -- a module's state, no time
  (501, 'EEEEEEEEA', 51, 14, '2026-02-01', '2026-03-01 08:30'),
  (502, 'EEEEEEEEB', 52, 2, '2026-02-01', '0000-00-00 00:00:00'),
  -- times of no window; an hour ahead, which a later window reads
  (602, 'FFFFFFFFB', 602, 2, '2026-02-01', '1970-01-01 00:00:01'),
  (603, 'FFFFFFFFC', 603, 2, '2026-02-01', '2647-01-01'),
  (604, 'FFFFFFFFD', 604, 2, '2026-02-01', UTC_TIMESTAMP() + INTERVAL 2 DAY),
  (605, 'FFFFFFFFE', 605, 2, '2026-02-01', CONVERT_TZ(UTC_TIMESTAMP() + INTERVAL 1 HOUR, '+00:00', 'Europe/Paris'));
