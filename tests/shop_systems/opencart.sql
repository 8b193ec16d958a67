-- OpenCart 3.0.3, oc_order, abbreviated. Times in Paris, an hour ahead of UTC in winter.
CREATE TABLE oc_order (
  order_id int(11) NOT NULL AUTO_INCREMENT,
  store_id int(11) NOT NULL DEFAULT '0',
  order_status_id int(11) NOT NULL DEFAULT '0',
  date_added datetime NOT NULL,
  date_modified datetime NOT NULL,
  PRIMARY KEY (order_id)
) ENGINE=MyISAM DEFAULT CHARSET=utf8;
INSERT INTO oc_order (order_id, order_status_id, date_added, date_modified) VALUES
  -- each status of a new shop once
  (101, 1, '2026-02-01', '2026-03-01 08:30'),
  (102, 2, '2026-02-01', '2026-03-01 08:30'),
  (103, 3, '2026-02-01', '2026-03-01 08:30'),
  (105, 5, '2026-02-01', '2026-03-01 08:30'),
  (107, 7, '2026-02-01', '2026-03-01 08:30'),
  (108, 8, '2026-02-01', '2026-03-01 08:30'),
  (109, 9, '2026-02-01', '2026-03-01 08:30'),
  (110, 10, '2026-02-01', '2026-03-01 08:30'),
  (111, 11, '2026-02-01', '2026-03-01 08:30'),
  (112, 12, '2026-02-01', '2026-03-01 08:30'),
  (113, 13, '2026-02-01', '2026-03-01 08:30'),
  (114, 14, '2026-02-01', '2026-03-01 08:30'),
  (115, 15, '2026-02-01', '2026-03-01 08:30'),
  (116, 16, '2026-02-01', '2026-03-01 08:30'),
  -- never updated
  (201, 1, '2026-03-01 08:15', '2026-03-01 08:15'),
  -- never confirmed
  (301, 0, '2026-03-01 08:30', '2026-03-01 08:30'),
  -- the edges of the window
  (401, 2, '2026-02-01', '2026-02-28 07:59:59'),
  (402, 2, '2026-02-01', '2026-02-28 08:00:00'),
  (403, 5, '2026-02-01', '2026-03-01 08:59:59'),
  (404, 5, '2026-02-01', '2026-03-01 09:00:00'),
  -- an extension's status, no time
  (501, 17, '2026-02-01', '2026-03-01 08:30'),
  (502, 2, '2026-02-01', '0000-00-00 00:00:00'),
  -- times of no window; an hour ahead, which a later window reads
  (602, 2, '2026-02-01', '1970-01-01 00:00:01'),
  (603, 2, '2026-02-01', '2647-01-01'),
  (604, 2, '2026-02-01', UTC_TIMESTAMP() + INTERVAL 2 DAY),
  (605, 2, '2026-02-01', CONVERT_TZ(UTC_TIMESTAMP() + INTERVAL 1 HOUR, '+00:00', 'Europe/Paris'));
